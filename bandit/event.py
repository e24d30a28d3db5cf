"""One event, its one encoding, and the one rule that turns events into counts."""

import json
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from bandit.model import Kind, Verdict

SCHEMA_PATH = Path(__file__).with_name("banner_event.avsc")


class UndecodableEvent(ValueError):
    """Bytes that are not exactly one BannerEvent."""


class BannerEvent(NamedTuple):
    """One thing that happened to one impression; the fields of banner_event.avsc, in its order."""

    kind: str
    impression_id: bytes
    tenant: str
    slot: str
    city: str
    banner: str
    policy: str
    day: int
    served_at: int
    received_at: int
    propensity: float
    reason: str
    verdict: str
    customer: bytes | None = None
    referrer: str | None = None
    platform: str = ""
    would_be_banner: str | None = None
    unrecognised_city: str | None = None
    shard: int = 0
    journal: int = 0
    sequence: int = 0


class Increments(NamedTuple):
    """What one event adds to its cell."""

    served: int
    viewed: int
    clicks: int


NOTHING = Increments(0, 0, 0)


@cache
def schema() -> dict[str, Any]:
    """The Avro schema, parsed once."""
    parsed = parse_schema(json.loads(SCHEMA_PATH.read_text("utf-8")))
    assert isinstance(parsed, dict)
    return parsed


def encode(event: BannerEvent) -> bytes:
    """Avro binary, without any framing."""
    out = BytesIO()
    schemaless_writer(out, schema(), event._asdict())
    return out.getvalue()


def decode(payload: bytes) -> BannerEvent:
    """The event these bytes hold; UndecodableEvent for anything else, trailing bytes included."""
    stream = BytesIO(payload)
    try:
        fields = schemaless_reader(stream, schema(), None)
    except Exception as error:  # fastavro raises whatever the broken bytes lead it to
        raise UndecodableEvent(f"not a BannerEvent: {error or type(error).__name__}") from error
    if stream.tell() != len(payload):
        raise UndecodableEvent(f"{len(payload) - stream.tell()} bytes follow the event")
    assert isinstance(fields, dict)
    return BannerEvent(**fields)


def increments(event: BannerEvent, *, first_view: bool, first_click: bool) -> Increments:
    """What the event adds to the counts of its cell (tenant, slot, day, policy, city, banner).

    `first_view` and `first_click` say that no earlier event claimed the view or the click of this impression. An
    accepted click implies a view where none is claimed, so clicks <= viewed <= served in every cell.
    """
    if event.verdict != Verdict.ACCEPTED:
        return NOTHING
    if event.kind == Kind.SERVED:
        return Increments(1, 0, 0)
    if event.kind == Kind.VIEWED:
        return Increments(0, int(first_view), 0)
    if not first_click:
        return NOTHING
    return Increments(0, int(first_view), 1)

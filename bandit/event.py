"""One event, its one encoding, and the one rule that turns events into counts."""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from bandit.avro_read import long_at, optional_bytes_at, optional_long_text_at, optional_text_at, text_at
from bandit.model import Kind, Policy, Verdict

SCHEMA_PATH = Path(__file__).with_name("banner_event.avsc")
OLDER_SCHEMAS = ("banner_event_1.avsc",)
"""Of events written by earlier releases, newest first."""
MAX_SHARD = 65_535
"""Journal ids are random 64-bit numbers, far above."""


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
    eligible: str | None = None
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
ONE_SERVED = Increments(1, 0, 0)
# Looking up a member of an enum costs more than comparing it in Python 3.11.
_ACCEPTED, _SERVED, _VIEWED = str(Verdict.ACCEPTED), str(Kind.SERVED), str(Kind.VIEWED)


@cache
def schema(name: str = SCHEMA_PATH.name) -> dict[str, Any]:
    """The Avro schema in this file, parsed once."""
    parsed = parse_schema(json.loads(SCHEMA_PATH.with_name(name).read_text("utf-8")))
    assert isinstance(parsed, dict)
    return parsed


# Encoding happens once a request, and a general encoder takes four times as long as everything else about an
# event; hence the Avro binary form of this one record, written out. The tests hold it against fastavro.
_KINDS = {str(kind): bytes([2 * number]) for number, kind in enumerate(Kind)}
_POLICIES = {str(policy): bytes([2 * number]) for number, policy in enumerate(Policy)}
_VERDICTS = {str(verdict): bytes([2 * number]) for number, verdict in enumerate(Verdict)}
SERVED_KIND = _KINDS[str(Kind.SERVED)]
"""For `assemble`."""
_double = struct.Struct("<d").pack
_NULL, _PRESENT = b"\0", b"\2"


def _long(value: int) -> bytes:
    """Avro's zig-zag variable-length integer."""
    return _variable((value << 1) ^ (value >> 63))


def _variable(rest: int) -> bytes:
    """Seven bits a byte, the lowest first, each but the last marked."""
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_TWO_BYTES = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14)]
_rest_of = lru_cache(maxsize=4096)(_variable)
_known_long = lru_cache(maxsize=4096)(_long)


def _growing(value: int) -> bytes:
    """_long for a number not below 0 that grows slowly, as times and sequences do: most of its bytes are known."""
    n = value << 1
    return _TWO_BYTES[n & 16383] + _rest_of(n >> 14) if n > 16383 else _known_long(value)


@lru_cache(maxsize=65_536)
def text(value: str) -> bytes:
    """A text field, encoded."""
    return _new_text(value)


def _new_text(value: str) -> bytes:
    encoded = value.encode("utf-8")
    return _known_long(len(encoded)) + encoded


def rest_field(platform: str, would_be_banner: str | None, eligible: str | None) -> bytes:
    """For `assemble`."""
    would_be = _NULL if would_be_banner is None else _PRESENT + text(would_be_banner)
    # Not kept: pages leave out other banners each time.
    return text(platform) + would_be + (_NULL if eligible is None else _PRESENT + _new_text(eligible))


def encode(event: BannerEvent) -> bytes:
    """Avro binary, without any framing."""
    return stamped(encode_unstamped(event), event.shard, event.journal)(event.sequence)


def encode_unstamped(event: BannerEvent) -> bytes:
    """All fields but the last three, which `stamped` adds when the journal knows them."""
    return assemble(
        _KINDS[event.kind],
        event.impression_id,
        text(event.tenant) + text(event.slot) + text(event.city) + text(event.banner),
        policy_field(event.policy),
        times_field(event.day, event.served_at, event.received_at),
        event.propensity,
        text(event.reason),
        verdict_field(event.verdict),
        customer_field(event.customer),
        optional_text(event.referrer),
        rest_field(event.platform, event.would_be_banner, event.eligible),
        optional_text(event.unrecognised_city),
    )


def policy_field(policy: str) -> bytes:
    """For `assemble`."""
    return _POLICIES[policy]


def verdict_field(verdict: str) -> bytes:
    """For `assemble`."""
    return _VERDICTS[verdict]


def times_field(day: int, served_at: int, received_at: int) -> bytes:
    """For `assemble`: the three fields behind each other."""
    served = _growing(served_at)
    return _known_long(day) + served + (served if received_at == served_at else _growing(received_at))


def customer_field(customer: bytes | None) -> bytes:
    """For `assemble`."""
    return _NULL if customer is None else _PRESENT + _known_long(len(customer)) + customer


@lru_cache(maxsize=65_536)
def optional_text(value: str | None) -> bytes:
    """For `assemble`: referrer and unrecognised_city."""
    return _NULL if value is None else _PRESENT + _new_text(value)


def assemble(
    kind: bytes,
    impression_id: bytes,
    place: bytes,
    policy: bytes,
    times: bytes,
    propensity: float,
    reason: bytes,
    verdict: bytes,
    customer: bytes,
    referrer: bytes,
    rest: bytes,
    unrecognised_city: bytes,
) -> bytes:
    """All fields but the last three, already encoded: `place` is tenant, slot, city and banner, `times` day, served_at
    and received_at, `rest` platform, would_be_banner and eligible. So a request encodes only what is new about it."""
    about = b"".join((kind, impression_id, place, policy, times, _double(propensity), reason, verdict))
    return b"".join((about, customer, referrer, rest, unrecognised_city))


@lru_cache(maxsize=1024)
def _log_field(shard: int, journal: int) -> bytes:
    return _long(shard) + _long(journal)


def stamped(body: bytes, shard: int, journal: int) -> Callable[[int], bytes]:
    """From a sequence to the whole event. `body` is all fields but the last three, which say where it stands in the log
    it is counted from."""
    start = body + _log_field(shard, journal)
    return lambda sequence: start + _growing(sequence)


def decode(payload: bytes) -> BannerEvent:
    """The event these bytes hold; UndecodableEvent for anything else, trailing bytes included."""
    try:
        event = _decode_usual(payload)
    except (LookupError, ValueError, struct.error):
        event = None
    return event or _decode_any(payload)


def _decode_usual(b: bytes) -> BannerEvent | None:
    """The drain's hot path: events as `encode` writes them. None or an error for all others.

    A slice beyond the end is short without an error; the position is then beyond the end too, which the last line sees.
    """
    kind = _KIND_OF[b[0]]
    tenant, at = text_at(b, 17)
    slot, at = text_at(b, at)
    city, at = text_at(b, at)
    banner, at = text_at(b, at)
    policy = _POLICY_OF[b[at]]
    day, at = long_at(b, at + 1)
    served_at, start = long_at(b, at)
    # An impression is received when it is served, and most events are impressions.
    end = start + start - at
    received_at, at = (served_at, end) if b[at:start] == b[start:end] else long_at(b, start)
    (propensity,) = _double_at(b, at)
    reason, at = text_at(b, at + 8)
    verdict = _VERDICT_OF[b[at]]
    customer, at = optional_bytes_at(b, at + 1)
    referrer, at = optional_text_at(b, at)
    platform, at = text_at(b, at)
    would_be, at = optional_text_at(b, at)
    eligible, at = optional_long_text_at(b, at)
    unrecognised, at = optional_text_at(b, at)
    shard, at = long_at(b, at)
    journal, at = long_at(b, at)
    sequence, at = long_at(b, at)
    if at != len(b):
        return None
    return BannerEvent(
        kind,
        b[1:17],
        tenant,
        slot,
        city,
        banner,
        policy,
        day,
        served_at,
        received_at,
        propensity,
        reason,
        verdict,
        customer,
        referrer,
        platform,
        would_be,
        eligible,
        unrecognised,
        shard,
        journal,
        sequence,
    )


_KIND_OF = {encoded[0]: name for name, encoded in _KINDS.items()}
_POLICY_OF = {encoded[0]: name for name, encoded in _POLICIES.items()}
_VERDICT_OF = {encoded[0]: name for name, encoded in _VERDICTS.items()}
_double_at = struct.Struct("<d").unpack_from


def _decode_any(payload: bytes) -> BannerEvent:
    """By the current schema, else by an older one: only the right one uses up all bytes, and an event of today that
    lost its last field would have a shard for its journal."""
    try:
        return _decode_as(payload, schema())
    except UndecodableEvent as error:
        for name in OLDER_SCHEMAS:
            with suppress(UndecodableEvent):
                event = _decode_as(payload, schema(name))
                if event.journal > MAX_SHARD:
                    return event
        raise error


def _decode_as(payload: bytes, written_as: dict[str, Any]) -> BannerEvent:
    stream = BytesIO(payload)
    try:
        fields = schemaless_reader(stream, written_as, schema())
    except Exception as error:  # fastavro raises whatever the broken bytes lead it to
        raise UndecodableEvent(f"not a BannerEvent: {error or type(error).__name__}") from error
    if stream.tell() != len(payload):
        raise UndecodableEvent(f"{len(payload) - stream.tell()} bytes follow the event")
    assert isinstance(fields, dict)
    return BannerEvent(**fields)


class Draw(NamedTuple):
    """What an impression says of how banners are drawn."""

    eligible: str
    banner: str
    """The one drawn; in shadow another one was shown."""
    inverse: float
    """1 / propensity."""


def draw(event: BannerEvent) -> Draw | None:
    """The draw of an impression that counts; None where no banners competed."""
    if event.eligible is None or event.propensity <= 0:
        return None
    return Draw(event.eligible, event.would_be_banner or event.banner, 1 / event.propensity)


def increments(event: BannerEvent, *, first_view: bool, first_click: bool) -> Increments:
    """What the event adds to the counts of its cell (tenant, slot, day, policy, city, banner).

    `first_view` and `first_click` say that no earlier event claimed the view or the click of this impression. An
    accepted click implies a view where none is claimed, so clicks <= viewed <= served in every cell.
    """
    if event.verdict != _ACCEPTED:
        return NOTHING
    if event.kind == _SERVED:
        return ONE_SERVED
    if event.kind == _VIEWED:
        return Increments(0, int(first_view), 0)
    if not first_click:
        return NOTHING
    return Increments(0, int(first_view), 1)

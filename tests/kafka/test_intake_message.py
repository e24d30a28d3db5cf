"""What a message to the intake means, and what it becomes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from bandit.event import BannerEvent
from kafka_ingest.delay import LONGEST_DELAY_DAYS
from kafka_ingest.intake_message import Unacceptable
from kafka_ingest.registry import SHIPPED_DIRECTORY, ShippedSchemas, UnknownSchema
from kafka_ingest.wire import frame
from serving.token import impression_id
from tests.kafka.intake_messages import (
    NOW_US,
    SECOND_US,
    events,
    intake,
    message,
    token,
)

DAY_US = 86_400_000_000
INTAKE_SCHEMA = (SHIPPED_DIRECTORY / "2_banner_intake.avsc").read_text("utf-8")


def avro(content: dict[str, Any], schema: Any = None, schema_id: int | None = None) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(schema or json.loads(INTAKE_SCHEMA)), content)
    known = ShippedSchemas().schema_id("any", INTAKE_SCHEMA) if schema_id is None else schema_id
    return frame(known, stream.getvalue())


class Known:
    """Schemas by number."""

    def __init__(self, **schemas: Any) -> None:
        self._schemas = schemas

    def schema_id(self, subject: str, schema: str) -> int:
        raise AssertionError(subject)

    def schema(self, schema_id: int) -> str:
        try:
            return json.dumps(self._schemas[f"_{schema_id}"])
        except KeyError:
            raise UnknownSchema(f"no schema {schema_id}") from None


def taken(directory: Path, value: bytes | None, *, schemas: Any = None, timestamp_ms: int = 0) -> BannerEvent:
    """The event this message becomes."""
    with intake(directory, schemas=schemas) as one:
        one.record(one.verify(value, timestamp_ms))
    (event,) = events(directory)
    return event


def test_a_click_is_journaled_as_one_that_came_over_http(tmp_path: Path) -> None:
    event = taken(tmp_path, message(token()))
    assert event._replace(journal=0) == BannerEvent(
        kind="clicked",
        impression_id=impression_id(NOW_US - 60 * SECOND_US, 1),
        tenant="shop",
        slot="home",
        city="pune",
        banner="sale",
        policy="learned",
        day=20_000,
        served_at=NOW_US - 60 * SECOND_US,
        received_at=NOW_US,
        propensity=0.25,
        reason="",
        verdict="accepted",
        customer=b"customer",
        referrer="mail",
        shard=3,
        sequence=1,
    )


@pytest.mark.parametrize(("kind", "stored"), [("view", "viewed"), ("click", "clicked")])
def test_views_and_clicks_come_in_json_and_in_avro(tmp_path: Path, kind: str, stored: str) -> None:
    when = datetime.fromtimestamp(NOW_US / 1e6, UTC)
    in_json = taken(tmp_path / "json", message(token(), kind))
    in_avro = taken(tmp_path / "avro", avro({"kind": kind, "token": token(), "time": when}))
    assert in_json._replace(journal=0) == in_avro._replace(journal=0)
    assert in_json.kind == stored


@pytest.mark.parametrize(
    "time",
    [
        NOW_US // 1000 - 5000,
        datetime.fromtimestamp(NOW_US / 1e6 - 5, UTC).isoformat(),
        datetime.fromtimestamp(NOW_US / 1e6 - 5, timezone(timedelta(hours=5, minutes=30))).isoformat(),
        datetime.fromtimestamp(NOW_US / 1e6 - 5, UTC).isoformat().replace("+00:00", "Z"),
    ],
)
def test_the_time_of_receipt_is_the_messages_own(tmp_path: Path, time: int | str) -> None:
    value = json.dumps({"kind": "view", "token": token(), "time": time}).encode()
    assert taken(tmp_path, value, timestamp_ms=1).received_at == NOW_US - 5 * SECOND_US


def test_without_a_time_the_timestamp_of_the_record_counts(tmp_path: Path) -> None:
    value = json.dumps({"kind": "view", "token": token()}).encode()
    assert taken(tmp_path, value, timestamp_ms=NOW_US // 1000 - 7).received_at == NOW_US - 7000


def test_a_schema_of_somebody_else_will_do_if_it_has_the_three_fields(tmp_path: Path) -> None:
    fields = [
        {"name": "page", "type": "string"},
        {"name": "token", "type": "string"},
        {"name": "kind", "type": "string"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ]
    foreign = {"type": "record", "name": "Gateway", "fields": fields}
    content = {"page": "/", "token": token(), "kind": "view", "time": datetime.fromtimestamp(NOW_US / 1e6 - 1, UTC)}
    event = taken(tmp_path, avro(content, foreign, 9), schemas=Known(_9=foreign))
    assert (event.kind, event.received_at) == ("viewed", NOW_US - SECOND_US)


@pytest.mark.parametrize(
    ("age_us", "changes", "verdict"),
    [
        (3599 * SECOND_US, {}, "accepted"),
        (3601 * SECOND_US, {}, "late"),
        (3601 * SECOND_US, {"slot": "removed"}, "accepted"),
        (-120 * SECOND_US, {}, "future"),
        (60 * SECOND_US, {"counted": False}, "uncounted"),
        (0, {}, "accepted"),
    ],
)
def test_it_is_judged_as_of_when_it_was_received(
    tmp_path: Path, age_us: int, changes: dict[str, Any], verdict: str
) -> None:
    received_us = NOW_US - 2 * DAY_US
    text = token(age_us=age_us, now_us=received_us, **changes)
    assert taken(tmp_path, message(text, received_us=received_us)).verdict == verdict


GOOD: dict[str, Any] = {"kind": "click", "token": token(), "time": NOW_US // 1000}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "it must be JSON"),
        (b"", "it must be JSON"),
        (b"[]", "it must be JSON"),
        (b"{", "it must be JSON"),
        (b"\xff\xfe", "it must be JSON"),
        (b"[" * 100_000, "it must be JSON"),
        (b"\0\0", "at least 5 bytes"),
        (b"\0\0\0\0\1abc", "schema"),
        (avro({**GOOD, "time": datetime.fromtimestamp(0, UTC)})[:-1], "it must be JSON"),
        (avro({**GOOD, "time": datetime.fromtimestamp(0, UTC)}) + b"x", "bytes follow"),
        (json.dumps({**GOOD, "kind": "served"}).encode(), "kind: must be view or click"),
        (json.dumps({**GOOD, "kind": ["click"]}).encode(), "kind: must be view or click"),
        (json.dumps({**GOOD, "token": 7}).encode(), "token: must be the text"),
        (json.dumps({**GOOD, "token": "x" * 60}).encode(), "token: is not one"),
        (json.dumps({**GOOD, "token": "\ud800"}).encode(), "token: is not one"),
        (json.dumps({**GOOD, "token": GOOD["token"][:-2]}).encode(), "token: is not one"),
        (json.dumps({**GOOD, "time": "yesterday"}).encode(), "time: must be a text such as"),
        (json.dumps({**GOOD, "time": "2026-07-01T12:00:00"}).encode(), "time: must name its offset"),
        (json.dumps({**GOOD, "time": True}).encode(), "time: must be a text such as"),
        (json.dumps({**GOOD, "time": 1e300}).encode(), "time: must be a text such as"),
        (json.dumps({**GOOD, "time": 10**30}).encode(), "time: lies in the future"),
        (json.dumps({**GOOD, "time": -(10**30)}).encode(), f"time: lies more than {LONGEST_DELAY_DAYS} days back"),
        (json.dumps({**GOOD, "time": NOW_US // 1000 + 61_000}).encode(), "time: lies in the future"),
    ],
)
def test_what_cannot_be_taken_says_what_would_be_right(tmp_path: Path, value: bytes | None, reason: str) -> None:
    with intake(tmp_path) as one, pytest.raises(Unacceptable, match=reason):
        one.verify(value, NOW_US // 1000)

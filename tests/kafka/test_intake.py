"""Views and clicks that others received, from a real Kafka into the journal."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from bandit.event import BannerEvent, decode
from bandit.model import Configuration, Slot, Tenant
from kafka_ingest.client import KafkaOptions
from kafka_ingest.dead_letter_topic import DeadLetterTopic
from kafka_ingest.delay import LONGEST_DELAY_DAYS
from kafka_ingest.intake_consumer import IntakeConsumer, open_consumer
from kafka_ingest.intake_events import Intake
from kafka_ingest.intake_message import IntakeDecoder, Unacceptable
from kafka_ingest.registry import SHIPPED_DIRECTORY, ShippedSchemas, UnknownSchema
from kafka_ingest.wire import frame
from services.kafka import Kafka
from serving.keyring import Keyring
from serving.token import Token, impression_id, sign
from serving.verdict import Judge
from storage.base import StoreUnavailable
from storage.journal import Journal
from storage.segment_files import find_segments
from storage.segments import read_all
from storage.sqlite import SqliteStore
from tests.kafka.topic import Topic
from tests.service_process import ROOT, wait_until

KEYRING = Keyring({1: b"k" * 32}, 1, b"c" * 32)
SECRETS = {"BANNER_SECRETS_TOKEN_KEYS": f"1:{(b'k' * 32).hex()}", "BANNER_SECRETS_CUSTOMER_KEY": (b"c" * 32).hex()}
NOW_US = 1_790_000_000_000_000
SECOND_US, DAY_US = 1_000_000, 86_400_000_000
INTAKE_SCHEMA = (SHIPPED_DIRECTORY / "2_banner_intake.avsc").read_text("utf-8")
CONFIGURATION = Configuration(
    1, {"shop": Tenant("shop")}, {}, {("shop", "home"): Slot("home", attribution_window_seconds=3600)}, {}
)


def token(number: int = 1, *, age_us: int = 60 * SECOND_US, now_us: int = NOW_US, **changes: Any) -> str:
    """Of an impression so long ago."""
    served_at = now_us - age_us
    impression, place = impression_id(served_at, number), ("shop", "home", "pune", "sale")
    given = Token(impression, 20_000, 3, "learned", True, 0.25, b"customer", *place, referrer="mail")
    return sign(given._replace(**changes), KEYRING)


def message(text: str, kind: str = "click", received_us: int = NOW_US) -> bytes:
    return json.dumps({"kind": kind, "token": text, "time": received_us // 1000}).encode()


def avro(content: dict[str, Any], schema: Any = None, schema_id: int | None = None) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(schema or json.loads(INTAKE_SCHEMA)), content)
    known = ShippedSchemas().schema_id("any", INTAKE_SCHEMA) if schema_id is None else schema_id
    return frame(known, stream.getvalue())


def events(directory: Path) -> list[BannerEvent]:
    """All that is journaled."""
    segments = [segment for journal in find_segments(directory).values() for segment in journal]
    return [decode(record.payload) for segment in segments for record in read_all(segment.path)]


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


@contextmanager
def intake(directory: Path, *, schemas: Any = None, now_us: int = NOW_US) -> Iterator[Intake]:
    journal = Journal.open(directory)
    judge = Judge(impressions_per_minute=1, clicks_per_minute=1, too_fast_us=10**12)
    decoder = IntakeDecoder(schemas or ShippedSchemas())
    try:
        yield Intake(decoder, KEYRING, judge, journal, lambda: CONFIGURATION, clock=lambda: now_us)
    finally:
        journal.close()


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


class Running:
    """The consumer in a thread of this process."""

    def __init__(self, kafka: Kafka, directory: Path) -> None:
        self.topic, self.dead = Topic(kafka.bootstrap, partitions=2).create(), Topic(kafka.bootstrap).create()
        self._options = KafkaOptions(kafka.bootstrap)
        self.directory = directory

    @contextmanager
    def consuming(self, one: Intake) -> Iterator[None]:
        stop = threading.Event()
        letters = DeadLetterTopic(self._options, self.dead.name)
        with closing(open_consumer(self._options, self.topic.name)) as consumer:
            thread = threading.Thread(target=IntakeConsumer(consumer, one, letters).run, args=(stop,))
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
                letters.close()


@pytest.fixture
def running(kafka: Kafka, tmp_path: Path) -> Running:
    return Running(kafka, tmp_path / "journal")


def numbers(directory: Path) -> Counter[int]:
    """How often each impression is journaled."""
    return Counter(int.from_bytes(event.impression_id[8:], "big") for event in events(directory))


def test_good_messages_are_journaled_and_bad_ones_set_aside_in_between(running: Running) -> None:
    bad = [b"", b"{}", b"\0\0\0\0\1"]
    with intake(running.directory) as one, running.consuming(one):
        running.topic.put(message(token(1)), bad[0], message(token(2)), bad[1], partition=0)
        running.topic.put(bad[2], message(token(3)), partition=1)
        wait_until(lambda: len(numbers(running.directory)) == 3, "journaled", 60)
        wait_until(lambda: len(running.dead.messages()) == 3, "set aside", 60)
    assert sorted(map(repr, running.dead.values())) == sorted(map(repr, bad))
    (letter,) = [one for one in running.dead.messages() if one.value == bad[2]]
    assert letter.headers["topic"] == running.topic.name.encode()
    assert (letter.headers["partition"], letter.headers["offset"]) == (b"1", b"0")


def test_what_was_committed_is_not_read_again(running: Running) -> None:
    with intake(running.directory) as one:
        with running.consuming(one):
            running.topic.put(*(message(token(number)) for number in range(50)))
            wait_until(lambda: len(numbers(running.directory)) == 50, "journaled", 60)
        with running.consuming(one):
            running.topic.put(*(message(token(number)) for number in range(50, 60)))
            wait_until(lambda: len(numbers(running.directory)) == 60, "journaled", 60)
    assert set(numbers(running.directory).values()) == {1}


def test_a_full_journal_makes_it_wait_and_go_on_where_it_was(running: Running, tmp_path: Path) -> None:
    ballast = running.directory / "ballast.dead"
    running.directory.mkdir()
    ballast.write_bytes(bytes(1 << 20))
    journal = Journal.open(running.directory, segment_bytes=10_000, max_bytes=(1 << 20) + 4_000)
    judge = Judge(impressions_per_minute=1, clicks_per_minute=1, too_fast_us=0)
    one = Intake(IntakeDecoder(ShippedSchemas()), KEYRING, judge, journal, lambda: CONFIGURATION, clock=lambda: NOW_US)
    with running.consuming(one):
        running.topic.put(*(message(token(number)) for number in range(100)))
        wait_until(lambda: len(numbers(running.directory)) > 5, "journaling", 60)
        ballast.unlink()
        wait_until(lambda: len(numbers(running.directory)) == 100, "journaled", 60)
    journal.close()
    assert set(numbers(running.directory).values()) == {1}


def test_nothing_is_journaled_or_passed_over_while_no_configuration_is_known(running: Running) -> None:
    known = threading.Event()
    refused: list[int] = []

    def configuration() -> Configuration:
        if not known.is_set():
            refused.append(1)
            raise StoreUnavailable("the store is away")
        return CONFIGURATION

    with intake(running.directory) as one:
        one._configuration = configuration
        with running.consuming(one):
            running.topic.put(message(token(1)))
            wait_until(lambda: len(refused) > 1, "tried again", 60)
            assert numbers(running.directory) == {}
            known.set()
            wait_until(lambda: numbers(running.directory) == {1: 1}, "journaled", 60)


@pytest.mark.slow
def test_the_command_takes_in_what_comes_until_it_is_told_to_end(running: Running, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    store = SqliteStore.open(data / "banner.db")
    store.put_tenant("shop", Tenant("shop"))
    store.put_slot("shop", Slot("home", attribution_window_seconds=10))
    store.close()
    environ = {
        **os.environ,
        **SECRETS,
        "BANNER_DATA_DIRECTORY": str(data),
        "BANNER_KAFKA_BOOTSTRAP": running.topic.bootstrap,
        "BANNER_KAFKA_INTAKE_TOPIC": running.topic.name,
        "BANNER_KAFKA_DEAD_LETTER_TOPIC": running.dead.name,
    }
    now_us = time.time_ns() // 1000
    texts = [token(number, age_us=age * SECOND_US, now_us=now_us) for number, age in enumerate((5, 15))]
    log = tmp_path / "intake.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "kafka_ingest.intake"], cwd=ROOT, env=environ, stderr=out)
    try:
        running.topic.put(*(message(text, received_us=now_us) for text in texts), b"junk")
        wait_until(lambda: len(numbers(data / "journal")) == 2, f"journaled, see {log}", 60)
        assert {event.verdict for event in events(data / "journal")} == {"accepted", "late"}
        assert running.dead.values() == [b"junk"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()

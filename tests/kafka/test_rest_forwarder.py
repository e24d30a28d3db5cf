"""The forwarder through a Kafka REST proxy, in front of a real broker."""

import json
import random
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from fastavro import json_writer

from bandit.event import decode, encode, schema
from kafka_ingest.delay import LONGEST_DELAY_DAYS
from kafka_ingest.exchange import Endpoint
from kafka_ingest.opening import problem
from kafka_ingest.registry import Schemas, ShippedSchemas
from kafka_ingest.rest_forwarder import RestForwarder, tagged
from kafka_ingest.wire import event_schema, frame
from services.kafka import Kafka
from settings import load
from storage.base import Record, StoreUnavailable
from tests.kafka.golden import SHIPPED_ID
from tests.kafka.rest_proxy import ANOTHER, ONE, Kind, Proxy, running
from tests.kafka.test_forwarder import LIMIT_US
from tests.kafka.topic import Topic
from tests.service_process import free_port
from tests.storage.events import NOON_US, Log, random_events, served

BOTH = pytest.mark.parametrize("kind", [ONE, ANOTHER], ids=["one", "another"])
LOGIN = "Basic " + b64encode(b"banner:secret").decode()


class Registered:
    """A registry that has given our schema the number 7."""

    def schema_id(self, subject: str, schema: str) -> int:
        return 7

    def schema(self, schema_id: int) -> str:
        assert schema_id == 7
        return event_schema()


@pytest.fixture
def topic(kafka: Kafka) -> Topic:
    return Topic(kafka.bootstrap).create()


@contextmanager
def forwarding(
    topic: Topic, kind: Kind = ONE, *, schemas: Schemas | None = None, window_records: int = 100
) -> Iterator[tuple[RestForwarder, Proxy]]:
    known = schemas or ShippedSchemas()
    with running(topic.bootstrap, known, kind) as proxy:
        yield forwarder(proxy.url, topic, known, window_records=window_records), proxy


def forwarder(
    url: str,
    topic: Topic,
    schemas: Schemas,
    *,
    window_records: int = 100,
    password: str = "",
    timeout_seconds: float = 5,
) -> RestForwarder:
    endpoint = Endpoint(url, "banner" if password else "", password, timeout_seconds)
    return RestForwarder(endpoint, topic.name, schemas, window_records=window_records, now_us=lambda: NOON_US)


def framed(records: list[Record], schema_id: int = SHIPPED_ID) -> list[bytes]:
    return [frame(schema_id, record.payload) for record in records]


@BOTH
def test_the_proxy_writes_the_very_bytes_of_the_journal_into_the_partition_of_the_shard(
    topic: Topic, kind: Kind
) -> None:
    rng = random.Random(1)
    records = [record for shard in range(4) for record in Log(shard=shard).records(*random_events(rng, 30))]
    with forwarding(topic, kind, window_records=70) as (sink, _):
        assert sink.deliver(records) == []
    for shard in range(4):
        assert topic.values(shard) == framed([record for record in records if record.shard == shard])


@BOTH
def test_a_schema_that_is_registered_is_named_by_its_number(topic: Topic, kind: Kind) -> None:
    records = Log().records(served(1, referrer="mail"))
    with forwarding(topic, kind, schemas=Registered()) as (sink, proxy):
        assert sink.deliver(records) == []
        assert proxy.bodies[0]["value_schema_id"] == 7
        assert "value_schema" not in proxy.bodies[0]
    assert topic.values() == framed(records, 7)


def test_without_a_registry_of_ours_the_proxy_gets_the_schema_as_text(topic: Topic) -> None:
    with forwarding(topic) as (sink, proxy):
        sink.deliver(Log().records(served(1)))
        assert proxy.bodies[0]["value_schema"] == event_schema()


def test_values_are_in_the_json_encoding_of_avro() -> None:
    for event in random_events(random.Random(2), 40):
        whole = event._replace(customer=bytes(range(256)), would_be_banner="b")
        for one in (event, whole):
            text = StringIO()
            json_writer(text, schema(), [one._asdict()])
            assert tagged(encode(one)) == json.loads(text.getvalue())


def test_records_that_cannot_be_sent_are_refused_and_the_others_are_taken(topic: Topic) -> None:
    good, old = Log().records(served(1), served(2, served_at=NOON_US - LIMIT_US - 1))
    (elsewhere,) = Log(shard=4).records(served(3))
    broken = Record(0, b"broken")
    with forwarding(topic) as (sink, _):
        refusals = {refusal.record: refusal.reason for refusal in sink.deliver([broken, old, good, elsewhere])}
    assert set(refusals) == {broken, old, elsewhere}
    assert f"{LONGEST_DELAY_DAYS} days" in refusals[old]
    assert topic.values() == framed([good])


@BOTH
def test_a_record_that_spoils_its_request_is_found_and_the_others_are_taken(
    topic: Topic, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Log().records(*(served(number, banner=f"b{number}") for number in range(50)))

    def spoiled(payload: bytes) -> Any:
        value = tagged(payload)
        return value | {"kind": "bought"} if value["banner"] == "b31" else value

    monkeypatch.setattr("kafka_ingest.rest_forwarder.tagged", spoiled)
    with forwarding(topic, kind) as (sink, _):
        (refusal,) = sink.deliver(records)
    assert decode(refusal.record.payload).banner == "b31"
    assert "bad record" in refusal.reason
    assert topic.values() == framed([*records[:31], *records[32:]])


@pytest.mark.parametrize("code", [1, 50002])
def test_a_record_that_kafka_does_not_take_is_refused_alone(topic: Topic, code: int) -> None:
    records = Log().records(served(1), served(2, banner="large"), served(3))
    with forwarding(topic, ANOTHER) as (sink, proxy):
        error = {"error_code": code, "error": "too large", "offset": None, "partition": None}
        proxy.rejects = lambda value: error if value["banner"] == "large" else None
        (refusal,) = sink.deliver(records)
    assert refusal.record == records[1]
    assert "too large" in refusal.reason


@pytest.mark.parametrize("code", [2, 50003, 99999])
def test_an_error_that_may_pass_fails_the_delivery_which_is_repeated(topic: Topic, code: int) -> None:
    records = Log().records(served(1), served(2))
    with forwarding(topic, ANOTHER) as (sink, proxy):
        proxy.rejects = lambda value: {"error_code": code, "error": "not enough replicas"}
        with pytest.raises(StoreUnavailable, match="not enough replicas"):
            sink.deliver(records)
        proxy.rejects = lambda value: None
        assert sink.deliver(records) == []
    assert topic.values() == framed(records)


@pytest.mark.parametrize(
    "fault",
    [
        (500, {"error_code": 50002, "message": "Kafka error"}),
        (503, b"<html>gateway</html>"),
        (429, {"error_code": 429, "message": "slow down"}),
        (408, {"error_code": 40801, "message": "incompatible schema"}),
        (401, {"error_code": 40101, "message": "who are you"}),
        (403, {"error_code": 40301, "message": "not allowed"}),
        (200, b"<html>welcome</html>"),
        (200, {"offsets": []}),
        (200, {"offsets": [7]}),
        (200, {"offsets": [{}]}),
        (200, {"error_code": 50001, "message": "zookeeper"}),
    ],
)
def test_whatever_says_nothing_against_the_record_is_tried_again(topic: Topic, fault: tuple[int, Any]) -> None:
    records = Log().records(served(1))
    with forwarding(topic) as (sink, proxy):
        proxy.faults.append(fault)
        with pytest.raises(StoreUnavailable, match=topic.name):
            sink.deliver(records)
        assert sink.deliver(records) == []
    assert topic.values() == framed(records)


@BOTH
def test_a_missing_topic_refuses_no_record_and_is_not_made(kafka: Kafka, kind: Kind) -> None:
    topic = Topic(kafka.bootstrap)
    records = Log().records(served(1))
    with forwarding(topic, kind) as (sink, proxy):
        with pytest.raises(StoreUnavailable, match="has to be made"):
            sink.deliver(records)
        assert proxy.bodies == []
        topic.create()
        assert sink.deliver(records) == []
    assert topic.values() == framed(records)


def test_a_topic_that_is_removed_in_between_refuses_no_record(topic: Topic) -> None:
    missing = {"error_code": 50002, "error": "This server does not host this topic-partition"}
    with forwarding(topic, ANOTHER) as (sink, proxy):
        proxy.faults.append((200, {"offsets": [missing]}))
        proxy.partitions = _answers([[{"partition": 0}], None])  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable, match="has to be made"):
            sink.deliver(Log().records(served(1)))


def _answers(answers: list[Any]) -> Any:
    return lambda _topic: answers.pop(0)


def test_the_login_is_sent(topic: Topic) -> None:
    schemas, records = ShippedSchemas(), Log().records(served(1))
    with running(topic.bootstrap, schemas, ONE, login=LOGIN) as proxy:
        assert forwarder(proxy.url, topic, schemas, password="secret").deliver(records) == []
        for password in ("", "wrong"):
            with pytest.raises(StoreUnavailable, match="Unauthorized"):
                forwarder(proxy.url, topic, schemas, password=password).deliver(records)


def test_it_can_be_checked_whether_the_proxy_would_take_events(topic: Topic) -> None:
    with running(topic.bootstrap, ShippedSchemas(), ONE) as proxy:
        given = {"BANNER_CONFIG": "/dev/null", "BANNER_KAFKA_TRANSPORT": "rest", "BANNER_KAFKA_REST_URL": proxy.url}
        assert problem(load({**given, "BANNER_KAFKA_TOPIC": topic.name})) is None
        said = problem(load({**given, "BANNER_KAFKA_TOPIC": "missing"}))
        assert said is not None and "the topic has to be made first" in said
        assert proxy.bodies == []


def test_a_proxy_that_is_away_refuses_no_record() -> None:
    sink = forwarder(f"http://127.0.0.1:{free_port()}", Topic("nowhere"), ShippedSchemas())
    with pytest.raises(StoreUnavailable, match="does not answer"):
        sink.deliver(Log().records(served(1)))


def test_a_proxy_that_does_not_answer_in_time_refuses_no_record() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sink = forwarder(url, Topic("nowhere"), ShippedSchemas(), timeout_seconds=0.2)
        with pytest.raises(StoreUnavailable, match="timed out"):
            sink.deliver(Log().records(served(1)))

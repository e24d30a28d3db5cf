"""The forwarder on a real broker."""

import random
from pathlib import Path

import pytest

from bandit.event import encode
from kafka_ingest.client import KafkaOptions
from kafka_ingest.delay import DAY_US, LONGEST_DELAY_DAYS
from kafka_ingest.forwarder import Forwarder
from kafka_ingest.registry import ShippedSchemas
from kafka_ingest.wire import frame
from services.kafka import Kafka
from storage.base import Record, StoreUnavailable
from tests.kafka.golden import SHIPPED_ID
from tests.kafka.topic import Topic
from tests.storage.events import DAY, NOON_US, SECOND_US, Log, clicked, random_events, served

LIMIT_US = LONGEST_DELAY_DAYS * DAY_US


@pytest.fixture
def topic(kafka: Kafka) -> Topic:
    return Topic(kafka.bootstrap).create()


def forwarder(topic: Topic, *, window_records: int = 1000, now_us: int = NOON_US) -> Forwarder:
    options = KafkaOptions(topic.bootstrap)
    return Forwarder(options, topic.name, ShippedSchemas(), window_records=window_records, now_us=lambda: now_us)


def framed(records: list[Record]) -> list[bytes]:
    return [frame(SHIPPED_ID, record.payload) for record in records]


def test_every_record_is_in_the_partition_of_its_shard_when_deliver_returns(topic: Topic) -> None:
    logs = [Log(shard=shard) for shard in range(4)]
    rng = random.Random(1)
    records = [record for log in logs for record in log.records(*random_events(rng, 300))]
    sink = forwarder(topic)
    assert sink.deliver(records[:500]) == sink.deliver(records[500:]) == []
    for shard in range(4):
        assert topic.values(shard) == framed([record for record in records if record.shard == shard])
    sink.close()


@pytest.mark.parametrize("window_records", [1, 7])
def test_a_small_window_changes_nothing_but_the_pace(topic: Topic, window_records: int) -> None:
    records = Log().records(*random_events(random.Random(2), 40))
    sink = forwarder(topic, window_records=window_records)
    assert sink.deliver(records) == []
    assert topic.values() == framed(records)
    sink.close()


def test_an_empty_delivery_writes_nothing(topic: Topic) -> None:
    sink = forwarder(topic)
    assert sink.deliver([]) == []
    assert topic.values() == []
    sink.close()


def test_a_record_whose_shard_is_no_partition_is_refused_and_the_others_are_taken(topic: Topic) -> None:
    (good,), (bad,) = Log(shard=3).records(served(1)), Log(shard=4).records(served(2))
    sink = forwarder(topic)
    (refusal,) = sink.deliver([bad, good])
    assert refusal.record == bad
    assert "4 partitions" in refusal.reason
    assert topic.values() == framed([good])
    sink.close()


def test_partitions_that_were_added_are_used_at_once(topic: Topic) -> None:
    sink = forwarder(topic)
    sink.deliver(Log(shard=0).records(served(1)))
    topic.grow(8)
    late = Log(shard=7).records(served(2))
    assert sink.deliver(late) == []
    assert topic.values(7) == framed(late)
    sink.close()


def test_a_record_that_is_too_large_for_the_topic_is_refused_and_its_neighbours_are_taken(kafka: Kafka) -> None:
    topic = Topic(kafka.bootstrap, max_message_bytes="3000").create()
    log, large = Log(), Record(0, b"\0" * 4000)
    before, after = (log.records(*random_events(random.Random(seed), 60)) for seed in (3, 4))
    sink = forwarder(topic)
    (refusal,) = sink.deliver([*before, large, *after])
    assert refusal.record == large
    assert "TooLarge" in refusal.reason
    assert set(topic.values()) == set(framed([*before, *after]))
    sink.close()


def test_a_record_larger_than_any_request_is_refused(topic: Topic) -> None:
    records = [Record(0, bytes(2 << 20)), *Log().records(served(1))]
    sink = forwarder(topic)
    assert [refusal.record for refusal in sink.deliver(records)] == records[:1]
    assert topic.values() == framed(records[1:])
    sink.close()


def test_an_event_that_waited_too_long_is_refused(topic: Topic) -> None:
    old, young = Log().records(served(1), served(2, received_at=NOON_US + SECOND_US, served_at=NOON_US + SECOND_US))
    sink = forwarder(topic, now_us=NOON_US + SECOND_US // 2 + LIMIT_US)
    (refusal,) = sink.deliver([old, young])
    assert refusal.record == old
    assert f"{LONGEST_DELAY_DAYS} days" in refusal.reason
    sink.close()


def test_a_young_click_on_an_old_impression_is_taken(topic: Topic) -> None:
    impression = served(1, served_at=NOON_US - 29 * DAY_US, day=DAY - 29)
    records = Log().records(clicked(impression, received_at=NOON_US))
    sink = forwarder(topic)
    assert sink.deliver(records) == []
    assert topic.values() == framed(records)
    sink.close()


def test_bytes_that_are_no_event_are_taken_as_they_are(topic: Topic) -> None:
    records = [Record(0, payload) for payload in (b"", b"broken", encode(served(1))[:-1])]
    sink = forwarder(topic, now_us=2**62)
    assert sink.deliver(records) == []
    assert topic.values() == framed(records)
    sink.close()


def test_a_topic_that_is_missing_is_no_reason_to_refuse_and_is_never_made(kafka: Kafka) -> None:
    topic = Topic(kafka.bootstrap)
    records = Log().records(served(1))
    sink = forwarder(topic)
    with pytest.raises(StoreUnavailable, match=topic.name):
        sink.deliver(records)
    topic.create()
    assert sink.deliver(records) == []
    assert topic.values() == framed(records)
    sink.close()


@pytest.mark.slow
def test_kafka_may_be_absent_at_first_and_go_away_in_between(tmp_path: Path) -> None:
    records = Log().records(served(1), served(2))
    kafka = Kafka(tmp_path)
    topic = Topic(kafka.bootstrap, partitions=1)
    sink = forwarder(topic)
    try:
        with pytest.raises(StoreUnavailable, match=kafka.bootstrap):
            sink.deliver(records[:1])
        kafka.start()
        topic.create()
        assert sink.deliver(records[:1]) == []
        kafka.freeze(0)
        with pytest.raises(StoreUnavailable, match=topic.name):
            sink.deliver(records[1:])
        kafka.thaw(0)
        assert sink.deliver(records[1:]) == []
        kafka.kill(0)
        with pytest.raises(StoreUnavailable):
            sink.deliver(records)
        kafka.start()
        assert sink.deliver(records) == []
        assert set(topic.values()) == set(framed(records))
    finally:
        sink.close()
        kafka.close()

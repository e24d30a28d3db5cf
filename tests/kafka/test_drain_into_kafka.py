"""The drain process in front of Kafka, with everything that can go wrong in between."""

import time
from pathlib import Path

import pytest

from kafka_ingest.registry import ShippedSchemas
from services.kafka import Kafka
from storage.base import Record
from storage.journal import Journal
from storage.refused import dead_letter_files, read_refusals
from tests.kafka.drain_process import DrainProcess, Writer, arrived, warnings
from tests.kafka.rest_proxy import ANOTHER, running
from tests.kafka.topic import Topic
from tests.service_process import wait_until
from tests.storage.events import Log, served

PER_SECOND = 500
OUTAGE_SECONDS = 30
MOST_GROWTH_MIB = 50


def append(journal: Journal, record: Record) -> None:
    journal.append(record.shard, lambda _sequence: record.payload)


def now_us() -> int:
    return time.time_ns() // 1000


def test_what_is_journaled_is_in_the_topic(kafka: Kafka, tmp_path: Path) -> None:
    topic = Topic(kafka.bootstrap).create()
    with DrainProcess(tmp_path, topic) as drain, Writer(drain.journal_directory, per_second=PER_SECOND) as writer:
        wait_until(lambda: drain.status().delivered > 500, "delivering")
    assert arrived(topic) == writer.written
    assert warnings(drain.log()) == []


def test_a_drain_that_is_killed_loses_nothing(kafka: Kafka, tmp_path: Path) -> None:
    topic = Topic(kafka.bootstrap).create()
    with Writer(tmp_path / "data" / "journal", per_second=PER_SECOND) as writer:
        for _ in range(3):
            with DrainProcess(tmp_path, topic) as drain:
                _wait_for_arrivals(topic, len(writer.written))
                drain.kill()
    with DrainProcess(tmp_path, topic) as drain:
        drain.wait_until_drained()
    assert arrived(topic) == writer.written


def test_a_refused_record_is_a_dead_letter_before_the_mark_moves(kafka: Kafka, tmp_path: Path) -> None:
    topic = Topic(kafka.bootstrap, partitions=1).create()
    with DrainProcess(tmp_path, topic) as drain, Writer(drain.journal_directory, per_second=1, shards=1) as writer:
        writer.write(9)
        wait_until(lambda: drain.status().dead_letters == 1, "told")
        drain.wait_until_drained()
    (path,) = dead_letter_files(drain.journal_directory)
    (refusal,) = read_refusals(path)
    assert refusal.record.shard == 9
    assert "1 partitions" in refusal.reason
    assert arrived(topic) == {place for place in writer.written if place[1] == 0}


def test_through_a_rest_proxy_a_refused_record_is_a_dead_letter_too(kafka: Kafka, tmp_path: Path) -> None:
    topic = Topic(kafka.bootstrap, partitions=1).create()
    with running(kafka.bootstrap, ShippedSchemas(), ANOTHER) as proxy:
        proxy.rejects = lambda value: {"error_code": 1, "error": "too large"} if value["banner"] == "large" else None
        settings = {"KAFKA_TRANSPORT": "rest", "KAFKA_REST_URL": proxy.url}
        with DrainProcess(tmp_path, topic, **settings) as drain:
            journal = Journal.open(drain.journal_directory)
            events = [served(number, banner=name, served_at=now_us()) for number, name in enumerate(["sale", "large"])]
            for record in Log(journal.id).records(*events):
                append(journal, record)
            journal.close()
            wait_until(lambda: drain.status().dead_letters == 1, "told")
            drain.wait_until_drained()
    (path,) = dead_letter_files(drain.journal_directory)
    assert "too large" in next(read_refusals(path)).reason
    assert arrived(topic) == {(journal.id, 0, 1)}


@pytest.mark.slow
def test_a_broker_that_is_away_at_first_and_killed_later_costs_no_event_and_little_memory(tmp_path: Path) -> None:
    with_kafka, with_drain = tmp_path / "kafka", tmp_path / "drain"
    with_drain.mkdir()
    kafka = Kafka(with_kafka)
    topic = Topic(kafka.bootstrap)
    try:
        with (
            DrainProcess(with_drain, topic) as drain,
            Writer(drain.journal_directory, per_second=PER_SECOND) as writer,
        ):
            wait_until(lambda: kafka.bootstrap in drain.status().trouble, "telling that Kafka is absent", 60)
            kafka.start()
            topic.create()
            wait_until(lambda: not drain.status().trouble and drain.status().delivered, "delivering", 60)
            before_mib = drain.resident_mib()
            kafka.kill(0)
            most_mib = _most_mib(drain, OUTAGE_SECONDS)
            assert drain.status().trouble
            kafka.start()
            _wait_for_deliveries(drain, OUTAGE_SECONDS * PER_SECOND)
            most_mib = max(most_mib, _most_mib(drain, 1))
        assert arrived(topic) == writer.written
        assert most_mib - before_mib < MOST_GROWTH_MIB
        print(f"the drain grew from {before_mib:.0f} to {most_mib:.0f} MiB")
    finally:
        kafka.close()


def _wait_for_arrivals(topic: Topic, count: int) -> None:
    """Until more than so many events are in the topic."""
    wait_until(lambda: len(arrived(topic)) > count, "delivering")


def _wait_for_deliveries(drain: DrainProcess, count: int) -> None:
    """Until so many more are delivered."""
    delivered = drain.status().delivered
    wait_until(lambda: drain.status().delivered > delivered + count, "delivered", 120)


def _most_mib(drain: DrainProcess, seconds: float) -> float:
    """The most memory it has within so many seconds."""
    until, most = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        most = max(most, drain.resident_mib())
        time.sleep(0.2)
    return most


@pytest.mark.slow
def test_losing_one_of_three_brokers_is_not_noticed(kafka_cluster: Kafka, tmp_path: Path) -> None:
    topic = Topic(kafka_cluster.bootstrap).create()
    with DrainProcess(tmp_path, topic) as drain, Writer(drain.journal_directory, per_second=PER_SECOND) as writer:
        for number in range(3):
            kafka_cluster.kill(number)
            _wait_for_deliveries(drain, 3 * PER_SECOND)
            kafka_cluster.start_one(number)
            _wait_until_in_sync(topic)
    assert arrived(topic) == writer.written
    assert drain.status().dead_letters == 0


def _wait_until_in_sync(topic: Topic) -> None:
    wait_until(lambda: topic.replicas_in_sync() == {3}, "in sync", 120)

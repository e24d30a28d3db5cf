"""The whole distributed mode while Kafka is absent, killed and back: visitors notice nothing, all counts are exact."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bandit.event import BannerEvent, decode
from bandit.model import Verdict
from kafka_ingest.wire import unframe
from services.cassandra import Cassandra
from services.kafka import Kafka
from storage.cassandra import CassandraStore
from storage.cassandra_session import CassandraOptions
from storage.drain_status import status
from tests.conftest import StartService
from tests.counting.group import Place
from tests.kafka.topic import Topic
from tests.service.ledger import Cell, Ledger, Totals, expected_cells, feedback_complaints, impression_complaints
from tests.service.load import load
from tests.service.shop import SLOTS, TENANT, Shop
from tests.service_process import Service
from tests.services_fixtures import make_keyspace

CUSTOMER_KEY = b"\x0b" * 32
OUTAGE_SECONDS = 30
HEALTHY_SECONDS, WITHOUT_A_BROKER_SECONDS = 3, 15
MOST_GROWTH_MIB = 50
PAUSE_SECONDS = 0.01
"""Of each of four visitors, who cause almost two events a turn: some 500 events a second."""


@pytest.fixture
def keyspace(cassandra: Cassandra) -> CassandraOptions:
    """Of one test: an epoch over a new topic takes over what the one before it has counted."""
    return make_keyspace(cassandra)


@pytest.fixture
def place(tmp_path: Path, keyspace: CassandraOptions) -> Iterator[tuple[Place, Kafka]]:
    """A Kafka of this test's own, with a topic and an epoch."""
    with Kafka(tmp_path / "kafka") as kafka:
        one = Place(tmp_path, kafka, keyspace, partitions=4)
        yield one, kafka
        one.close()


@pytest.mark.slow
def test_visitors_notice_nothing_when_kafka_is_absent_or_killed_and_everything_counts_once(
    place: tuple[Place, Kafka], service: StartService, tmp_path: Path
) -> None:
    counting, kafka = place
    kafka.kill(0)
    running = service(workers=2, **settings(counting))
    shop = Shop(running, store=CassandraStore(counting.cassandra))
    ledger_path = tmp_path / "ledger"
    with load(shop, ledger_path, processes=1, pause_seconds=PAUSE_SECONDS):
        running.wait_until(lambda: shop.ready() == (200, "degraded"), "degraded", 60)
        kafka.start()
        running.wait_until(lambda: shop.ready() == (200, "ok"), "ok", 60)
        counting.consumer()
        before_mib = drain_mib(running)
        kafka.kill(0)
        most_mib = max(growing(running, OUTAGE_SECONDS))
        assert shop.ready() == (200, "degraded")
        kafka.start()
        running.wait_until(lambda: shop.ready() == (200, "ok"), "ok", 60)
        most_mib = max(most_mib, *growing(running, 3))
    print(f"the drain grew from {before_mib:.0f} to {most_mib:.0f} MiB")
    assert most_mib - before_mib < MOST_GROWTH_MIB
    check(shop, counting, ledger_path)


@pytest.mark.slow
def test_visitors_notice_nothing_when_one_of_three_brokers_is_lost(
    kafka_cluster: Kafka, keyspace: CassandraOptions, service: StartService, tmp_path: Path
) -> None:
    with closing(Place(tmp_path, kafka_cluster, keyspace, partitions=4)) as counting:
        running = service(workers=2, **settings(counting))
        shop = Shop(running, store=CassandraStore(counting.cassandra))
        counting.consumer()
        with load(shop, tmp_path / "ledger", processes=1, pause_seconds=PAUSE_SECONDS):
            time.sleep(HEALTHY_SECONDS)
            kafka_cluster.kill(1)
            time.sleep(WITHOUT_A_BROKER_SECONDS)
            assert shop.ready() == (200, "ok")
            kafka_cluster.start_one(1)
            time.sleep(HEALTHY_SECONDS)
        check(shop, counting, tmp_path / "ledger")


def check(shop: Shop, counting: Place, ledger_path: Path) -> None:
    """Every request was answered as it should be, and all of it is delivered and counted, once."""
    shop.settle()
    events = arrived(counting.topic)
    counting.wait_until_counted(len(counting.topic.messages()))
    ledger = Ledger.read(ledger_path)
    print(f"{len(events)} events")
    assert refusals(ledger) == []
    assert complaints(ledger, events) == []
    assert cells(CassandraStore(counting.cassandra), events) == expected_cells(
        events, lambda event: (event.policy, event.city)
    )
    assert status(shop.service.data / "journal").dead_letters == 0


def settings(counting: Place) -> dict[str, object]:
    """Of a service that works there."""
    return {
        "storage_backend": "cassandra",
        "secrets_token_keys": f"1:{'0a' * 32}",
        "secrets_customer_key": CUSTOMER_KEY.hex(),
        "cassandra_hosts": ",".join(counting.cassandra.hosts),
        "cassandra_port": counting.cassandra.port,
        "cassandra_keyspace": counting.cassandra.keyspace,
        "cassandra_datacenter": counting.cassandra.datacenter,
        "kafka_bootstrap": counting.kafka.bootstrap,
        "kafka_topic": counting.topic.name,
    }


def drain_mib(running: Service) -> float:
    """Resident memory of the drain."""
    (pid,) = running.pids("drain")
    answer = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(answer.stdout) / 1024


def growing(running: Service, seconds: float) -> Iterator[float]:
    """The drain's memory, looked at for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield drain_mib(running)
        time.sleep(0.2)


def arrived(topic: Topic) -> list[BannerEvent]:
    """The events in the topic, without transport duplicates."""
    events = (decode(unframe(message.value)[1]) for message in topic.messages())
    return list({(event.journal, event.shard, event.sequence): event for event in events}.values())


def refusals(ledger: Ledger) -> list[str]:
    """Every request must have been answered 200 or 202."""
    unanswered = len(ledger.customers) - len(ledger.impressions), ledger.tried - ledger.acknowledged
    return ledger.refused + ([] if unanswered == (0, {}) else [f"not acknowledged: {unanswered}"])


def complaints(ledger: Ledger, events: list[BannerEvent]) -> list[str]:
    """What was acknowledged and did not arrive, or the reverse."""
    counted = [event for event in events if event.verdict == Verdict.ACCEPTED]
    return [*impression_complaints(ledger, counted, CUSTOMER_KEY), *feedback_complaints(ledger, counted)]


def cells(store: CassandraStore, events: list[BannerEvent]) -> dict[Cell, Totals]:
    """What Cassandra holds for the days of these events."""
    days = {event.day for event in events}
    rows = [(slot, row) for slot in SLOTS for row in store.counts(TENANT, slot, min(days), max(days))]
    store.close()
    return {
        (TENANT, slot, row.day, row.banner, row.policy, row.city): (row.served, row.viewed, row.clicks)
        for slot, row in rows
    }

"""The service as its users run it in the distributed mode: `python app.py`, Kafka, consumers and Cassandra."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from bandit.event import BannerEvent, decode
from kafka_ingest.wire import unframe
from services.cassandra import Cassandra
from storage.cassandra import CassandraStore
from storage.cassandra_session import COUNTING
from tests.backends import environment
from tests.counting.group import Place
from tests.service.ledger import Cell, Kept, Totals
from tests.service.shop import CITIES, SLOTS
from tests.service_process import Service

COUNTED_SECONDS = 240.0


class DistributedService(Service):
    """A service whose events are counted by the consumers of a place."""

    def __init__(self, directory: Path, place: Place, *, workers: int = 1, **settings: object) -> None:
        prefix = "BANNER_"
        shared = place.environment() | environment(place.cassandra)
        ours = {name.removeprefix(prefix).lower(): value for name, value in shared.items() if name.startswith(prefix)}
        for name in ("config", "data_directory"):
            del ours[name]
        super().__init__(directory, workers=workers, **(ours | settings))
        self._place = place

    def settle(self) -> None:
        """Until what was journaled is in Kafka, and what is in Kafka is counted."""
        super().settle()
        self._place.wait_until_counted(records_in(self._place), COUNTED_SECONDS)


def records_in(place: Place) -> int:
    """How many records the topic holds."""
    consumer = KafkaConsumer(bootstrap_servers=place.kafka.bootstrap.split(","), enable_auto_commit=False)
    try:
        partitions = [TopicPartition(place.topic.name, one) for one in consumer.partitions_for_topic(place.topic.name)]
        return sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()


def journaled(place: Place) -> list[BannerEvent]:
    """The events of the topic, in the order of its partitions; one that was sent again only once."""
    events = [decode(unframe(message.value)[1]) for message in place.topic.messages()]
    return list({(event.journal, event.shard, event.sequence): event for event in events}.values())


def kept(place: Place, tenant: str) -> Kept:
    """What consumers made of the events of this tenant, read at a quorum."""
    store = CassandraStore(place.cassandra, reading=COUNTING)
    events = [event for event in journaled(place) if event.tenant == tenant]
    days, clicked = {event.day for event in events}, set[bytes]()
    cells: dict[Cell, Totals] = {}
    by_referrer: dict[Cell, Totals] = {}
    try:
        for slot in SLOTS:
            for row in store.counts(tenant, slot, min(days), max(days)):
                cells[tenant, slot, row.day, row.banner, row.policy, row.city] = row[-3:]
            for one in store.referrer_counts(tenant, slot, min(days), max(days)):
                by_referrer[tenant, slot, one.day, one.banner, one.referrer] = one[-3:]
        for city in CITIES:
            clicked |= {click.impression_id for day in days for click in store.clicks(tenant, city, day)}
    finally:
        store.close()
    return Kept(events, clicked, cells, by_referrer)


@contextmanager
def frozen(cassandra: Cassandra) -> Iterator[None]:
    """All nodes keep their connections and answer nothing."""
    numbers = range(len(cassandra.hosts))
    for number in numbers:
        cassandra.freeze(number)
    try:
        yield
    finally:
        for number in numbers:
            cassandra.thaw(number)

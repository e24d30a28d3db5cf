"""A clickstream as the forwarders write it, and what it must add up to."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bandit.event import BannerEvent, encode
from bandit.shard import shard_of
from kafka_ingest.client import KafkaOptions
from kafka_ingest.producing import Message, TopicWriter
from kafka_ingest.registry import ShippedSchemas
from kafka_ingest.wire import event_schema, header, subject
from tests.storage.events import DAY, NOON_US, Model, clicked, served, viewed

TENANTS, SLOTS, CITIES, BANNERS = (
    ("shop", "mall"),
    ("home", "cart"),
    ("Pune", "Delhi", "Agra", "Surat"),
    ("sale", "new"),
)
DAYS = (DAY, DAY + 1)


@dataclass
class Traffic:
    """Makes events, stamps them as the journals of several processes do, and keeps account of what counts."""

    rng: random.Random
    partitions: int
    first_journal: int = 1
    model: Model = field(default_factory=Model)
    distinct: int = 0
    impressions: list[BannerEvent] = field(default_factory=list)
    clicks: dict[bytes, BannerEvent] = field(default_factory=dict)
    """The first click of each impression."""
    draws: Counter[tuple[str, str, int, str, str]] = field(default_factory=Counter)
    """The sums of 1 / propensity by tenant, slot, day, column and banner."""
    stamped: list[BannerEvent] = field(default_factory=list)
    _sequences: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))

    def events(self, count: int) -> list[BannerEvent]:
        """So many distinct ones: impressions, views and clicks."""
        return [self._record(self._next()) for _ in range(count)]

    def repeated_clicks(self, count: int) -> list[BannerEvent]:
        """Visitors who click again on what they clicked on."""
        again = self.rng.choices(list(self.clicks.values()), k=count)
        return [self._record(click._replace(received_at=click.received_at + 1)) for click in again]

    def copies(self, count: int) -> list[BannerEvent]:
        """The same records once more, as a transport repeats them."""
        return self.rng.choices(self.stamped, k=count)

    def _next(self) -> BannerEvent:
        chance = self.rng.random()
        if chance < 0.84 or not self.impressions:
            return self._impression()
        impression = self.rng.choice(self.impressions[-2000:])
        make = viewed if chance < 0.94 else clicked
        return make(impression, verdict="accepted" if self.rng.random() < 0.9 else "late")

    def _impression(self) -> BannerEvent:
        number, choice = len(self.impressions), self.rng.choice
        tenant, slot, city = choice(TENANTS), choice(SLOTS), choice(CITIES)
        impression = served(
            number,
            tenant=tenant,
            slot=slot,
            city=city,
            banner=choice(BANNERS),
            day=choice(DAYS),
            policy=choice(("learned", "learned", "holdout")),
            served_at=NOON_US + number * 1000,
            referrer=choice((None, "mail", "search")),
            eligible=(None, "new sale")[number % 2],
            propensity=(0.5, 0.25)[number % 3 // 2],
            would_be_banner="new" if number % 10 == 1 else None,
            shard=shard_of(tenant, slot, city, self.partitions),
        )
        self.impressions.append(impression)
        return impression

    def _record(self, event: BannerEvent) -> BannerEvent:
        """Stamp an event and count it."""
        journal = self.first_journal + self.rng.randrange(3)
        self._sequences[journal, event.shard] += 1
        event = event._replace(journal=journal, sequence=self._sequences[journal, event.shard])
        if event.kind == "clicked" and event.verdict == "accepted":
            self.clicks.setdefault(event.impression_id, event)
        if event.kind == "served" and event.eligible:
            place, would_be = (event.tenant, event.slot, event.day), event.would_be_banner
            self.draws[*place, "inverse", would_be or event.banner] += int(1 / event.propensity)
            if would_be:
                self.draws[*place, "would_be", would_be] += 1
        self.model.take(event)
        self.stamped.append(event)
        self.distinct += 1
        return event


def shuffled_in(rng: random.Random, events: Sequence[BannerEvent], more: Iterable[BannerEvent]) -> list[BannerEvent]:
    """Repetitions at places behind what they repeat."""
    first = {(event.journal, event.shard, event.sequence): place for place, event in enumerate(events)}
    first_of_impression: dict[bytes, int] = {}
    for place, event in enumerate(events):
        if event.kind == "clicked" and event.verdict == "accepted":
            first_of_impression.setdefault(event.impression_id, place)
    placed = [(place, 0, event) for place, event in enumerate(events)]
    for event in more:
        earliest = first.get((event.journal, event.shard, event.sequence))
        if earliest is None:
            earliest = first_of_impression[event.impression_id]
        placed.append((rng.randint(earliest, len(events)), 1, event))
    placed.sort(key=lambda one: one[:2])
    return [event for *_, event in placed]


class EventWriter:
    """Puts events into the topic, each into the partition that is its shard."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._writer = TopicWriter(KafkaOptions(bootstrap), topic, window_records=2000)
        self._header = header(ShippedSchemas().schema_id(subject(topic), event_schema()))

    def write(self, events: Iterable[BannerEvent]) -> None:
        """Returns when all are acknowledged."""
        assert self._writer.write([Message(event.shard, self.message(event)) for event in events]) == []

    def message(self, event: BannerEvent) -> bytes:
        return self._header + encode(event)

    def close(self) -> None:
        self._writer.close()

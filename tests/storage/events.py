"""Events for the tests of stores and sinks, and a plain model of what they must add up to."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bandit.event import BannerEvent, encode
from bandit.model import OTHER, UNKNOWN, CountRow, Kind, Policy, Reason, Verdict
from storage.base import EventSink, Record, Store

NOON_US = 1_750_000_000_000_000
"""When the events of these tests begin."""
DAY = 20_254
SECOND_US = 1_000_000

Totals = tuple[int, int, int]
"""Served, viewed, clicks."""


def impression_id(number: int, served_at: int = NOON_US) -> bytes:
    """16 bytes that begin with the time, as real ones do."""
    return served_at.to_bytes(8, "big") + number.to_bytes(8, "big")


def served(number: int, **changes: object) -> BannerEvent:
    """An accepted impression; `number` tells it from others."""
    served_at = int(str(changes.get("served_at", NOON_US)))
    event = BannerEvent(
        kind=Kind.SERVED.value,
        impression_id=impression_id(number, served_at),
        tenant="shop",
        slot="home",
        city="Pune",
        banner="sale",
        policy=Policy.LEARNED.value,
        day=DAY,
        served_at=served_at,
        received_at=served_at,
        propensity=0.5,
        reason=Reason.LEARNED.value,
        verdict=Verdict.ACCEPTED.value,
        platform="web",
    )
    return event._replace(**changes)  # type: ignore[arg-type]


def viewed(impression: BannerEvent, **changes: object) -> BannerEvent:
    """A view of it, two seconds later."""
    return _feedback(impression, Kind.VIEWED, 2 * SECOND_US)._replace(**changes)  # type: ignore[arg-type]


def clicked(impression: BannerEvent, **changes: object) -> BannerEvent:
    """A click on it, five seconds later."""
    return _feedback(impression, Kind.CLICKED, 5 * SECOND_US)._replace(**changes)  # type: ignore[arg-type]


def _feedback(impression: BannerEvent, kind: Kind, later_us: int) -> BannerEvent:
    return impression._replace(
        kind=kind.value, received_at=impression.served_at + later_us, platform="", unrecognised_city=None
    )


@dataclass
class Log:
    """Stamps events as one journal does."""

    journal: int = 7
    shard: int = 0
    sequence: int = 0

    def records(self, *events: BannerEvent) -> list[Record]:
        """The journaled form of these events, in order."""
        return [self._record(event) for event in events]

    def _record(self, event: BannerEvent) -> Record:
        self.sequence += 1
        stamped = event._replace(shard=self.shard, journal=self.journal, sequence=self.sequence)
        return Record(self.shard, encode(stamped))


def totals(store: Store, tenant: str = "shop", slot: str = "home") -> Totals:
    """Served, viewed and clicks of a slot over all its cells."""
    rows = store.counts(tenant, slot, 0, 2 * DAY)
    return sum(row.served for row in rows), sum(row.viewed for row in rows), sum(row.clicks for row in rows)


def deliver(sink: EventSink, *events: BannerEvent, journal: int = 7) -> None:
    """Deliver events of a journal of their own; `journal` must be new."""
    assert sink.deliver(Log(journal).records(*events)) == []


@dataclass
class Model:
    """The counting rule once more, written for reading only."""

    cells: Counter[tuple[object, ...]] = field(default_factory=Counter)
    by_referrer: Counter[tuple[object, ...]] = field(default_factory=Counter)
    claims: set[tuple[bytes, str]] = field(default_factory=set)

    def take(self, event: BannerEvent) -> None:
        """Count an event that is delivered for the first time."""
        if event.verdict != "accepted":
            return
        wanted = {"served": ["served"], "viewed": ["viewed"], "clicked": ["viewed", "clicked"]}[event.kind]
        for column in wanted:
            if column == "served" or (event.impression_id, column) not in self.claims:
                self.claims.add((event.impression_id, column))
                place = (event.tenant, event.slot, event.day)
                self.cells[(*place, event.policy, event.city, event.banner, column)] += 1
                self.by_referrer[(*place, event.referrer or UNKNOWN, event.banner, column)] += 1

    def rows(self, tenant: str, slot: str) -> list[CountRow]:
        """What Store.counts must return for all days, sorted."""
        cells = {key[2:6]: [0, 0, 0] for key in self.cells if key[:2] == (tenant, slot)}
        for key, number in self.cells.items():
            if key[:2] == (tenant, slot):
                cells[key[2:6]][("served", "viewed", "clicked").index(str(key[6]))] = number
        return sorted(CountRow(*cell, *numbers) for cell, numbers in cells.items())  # type: ignore[arg-type]


def random_events(rng: random.Random, impressions: int) -> list[BannerEvent]:
    """A shuffled stream of two tenants: impressions of any verdict, and up to four views and clicks of each."""
    events: list[BannerEvent] = []
    for number in range(impressions):
        impression = _random_impression(rng, number)
        feedback = rng.choices((viewed, clicked), k=rng.randrange(5))
        events += [impression, *(_judged(rng, impression, make(impression)) for make in feedback)]
    rng.shuffle(events)
    return events


def _random_impression(rng: random.Random, number: int) -> BannerEvent:
    return served(
        number,
        tenant=rng.choice(("shop", "mall")),
        slot=rng.choice(("home", "cart")),
        city=rng.choice(("Pune", "Delhi", OTHER, UNKNOWN)),
        banner=rng.choice(("sale", "new")),
        policy=rng.choice(list(Policy)).value,
        day=DAY + rng.randrange(2),
        referrer=rng.choice((None, "mail", "search")),
        verdict=rng.choice(("accepted", "accepted", "accepted", "bot", "prefetch")),
    )


def _judged(rng: random.Random, impression: BannerEvent, event: BannerEvent) -> BannerEvent:
    """The door never accepts feedback on an impression that does not count."""
    if impression.verdict != "accepted":
        return event._replace(verdict="uncounted")
    return event._replace(verdict=rng.choice(("accepted", "accepted", "late", "too_fast")))


def batches(rng: random.Random, records: list[Record], most: int) -> Iterator[list[Record]]:
    """The records in order, cut at random."""
    start = 0
    while start < len(records):
        size = rng.randint(1, most)
        yield records[start : start + size]
        start += size


def all_rows(store: Store, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], list[CountRow]]:
    """Counts of several (tenant, slot), sorted as Model.rows sorts them."""
    return {key: sorted(store.counts(*key, 0, 2 * DAY)) for key in keys}

"""Logs that repeat themselves, and what they must add up to."""

import random
from typing import Any, NamedTuple

from bandit.counting_store import SampledSet, WouldBe
from bandit.event import BannerEvent
from bandit.model import OTHER
from bandit.received import IDLE_US
from tests.storage.events import NOON_US, SECOND_US, Model, clicked, served, viewed

REFERRERS_NAMED = 2
"""How many names a tenant may have in these worlds."""


class LogRecord(NamedTuple):
    """One record of the log of one shard."""

    offset: int
    event: BannerEvent


def random_log(rng: random.Random) -> list[LogRecord]:
    """Impressions of four weeks with their views and clicks, some of them rejected, many repeated by visitors, in three
    journals whose records come out of order here and there; then copies of records, as the transport repeats them."""
    early = [_impression(rng, number, 0) for number in range(5)]
    later = [_impression(rng, number, IDLE_US * 9 // 10) for number in range(5, 8)]
    events = [*early, *_feedback(rng, early)]
    rng.shuffle(events)
    rest = [*later, *_feedback(rng, later), *rng.sample(_feedback(rng, early), 4)]
    rng.shuffle(rest)
    stamped = _stamp(rng, [*events, *rest])
    half = len(events)
    copies = rng.sample(stamped[:half], 7) + rng.sample(stamped, 5)
    for copy in copies:
        stamped.insert(rng.randrange(max(half, stamped.index(copy)), len(stamped) + 1), copy)
    return [LogRecord(offset, event) for offset, event in enumerate(stamped)]


def _impression(rng: random.Random, number: int, later_us: int) -> BannerEvent:
    return served(
        number,
        served_at=NOON_US + later_us + number * SECOND_US,
        city=rng.choice(("Pune", "Delhi", OTHER)),
        banner=rng.choice(("sale", "new")),
        referrer=rng.choice((None, "mail", "search", "social")),
        unrecognised_city=rng.choice((None, None, "Poona")),
        verdict=rng.choice(("accepted", "accepted", "accepted", "bot")),
        eligible="new sale" if number % 4 == 3 else None,
        propensity=(0.5, 0.25, 0.8)[number % 3],
        would_be_banner="new" if number == 3 else None,
    )


def _feedback(rng: random.Random, impressions: list[BannerEvent]) -> list[BannerEvent]:
    makers = [make for _ in impressions for make in rng.choices((viewed, clicked), k=2)]
    chosen = [rng.choice(impressions) for _ in makers]
    return [
        make(one, verdict=one.verdict if one.verdict != "accepted" else rng.choice(("accepted", "accepted", "late")))
        for make, one in zip(makers, chosen, strict=True)
    ]


def _stamp(rng: random.Random, events: list[BannerEvent]) -> list[BannerEvent]:
    """Numbered by their journals; then some neighbours of a journal change places."""
    sequences = dict.fromkeys((11, 12, 13), 0)
    stamped = []
    for event in events:
        journal = rng.choice([*sequences])
        sequences[journal] += 1
        stamped.append(event._replace(journal=journal, sequence=sequences[journal]))
    for journal in sequences:
        places = [place for place, event in enumerate(stamped) if event.journal == journal]
        for first, second in zip(places[::3], places[1::3], strict=False):
            stamped[first], stamped[second] = stamped[second], stamped[first]
    return stamped


class Expected(NamedTuple):
    """What a log adds up to."""

    cells: dict[Any, int]
    by_referrer: dict[Any, int]
    cities: dict[Any, int]
    clicks: dict[bytes, tuple[str, str, int]]
    draws: dict[Any, tuple[float, ...]]


def expected(log: list[LogRecord]) -> Expected:
    """By the counting rule written for reading only."""
    model, received, named = Model(), set(), set[str]()
    cities: dict[Any, int] = {}
    clicks: dict[bytes, tuple[str, str, int]] = {}
    draws: dict[Any, tuple[float, ...]] = {}
    for _, event in log:
        if (event.journal, event.sequence) in received:
            continue
        received.add((event.journal, event.sequence))
        before = model.cells.total()
        is_first_click = (event.impression_id, "clicked") not in model.claims
        model.take(event._replace(referrer=_counted_name(event, named, model)))
        if model.cells.total() == before:
            continue
        if event.kind == "clicked" and is_first_click:
            clicks[event.impression_id] = (event.city, event.banner, event.received_at)
        if event.kind == "served" and event.unrecognised_city:
            name = (event.tenant, event.unrecognised_city)
            cities[name] = cities.get(name, 0) + 1
        if event.kind == "served" and event.eligible:
            _sum_up(event, draws)
    return Expected(dict(model.cells), dict(model.by_referrer), cities, clicks, draws)


def _sum_up(event: BannerEvent, draws: dict[Any, tuple[float, ...]]) -> None:
    place, would_be, inverse = (event.tenant, event.slot, event.day), event.would_be_banner, 1 / event.propensity
    key = SampledSet(*place, str(event.eligible), would_be or event.banner)
    decisions, total, squares, largest = draws.get(key, (0, 0.0, 0.0, 0.0))
    draws[key] = (decisions + 1, total + inverse, squares + inverse * inverse, max(largest, inverse))
    if would_be:
        shadow = WouldBe(*place, event.city, would_be)
        draws[shadow] = (draws.get(shadow, (0, 0, 0))[0] + 1, 0, 0)


def _counted_name(event: BannerEvent, named: set[str], model: Model) -> str | None:
    name = event.referrer
    if name is None or name in named or not _counts(event, model):
        return name
    if len(named) >= REFERRERS_NAMED:
        return OTHER
    named.add(name)
    return name


def _counts(event: BannerEvent, model: Model) -> bool:
    if event.verdict != "accepted":
        return False
    claimed = {"served": "served", "viewed": "viewed", "clicked": "clicked"}[event.kind]
    return event.kind == "served" or (event.impression_id, claimed) not in model.claims

"""The counting algorithm, one rule at a time; tests/bandit/test_counting_model.py has all of them in a broken world."""

from collections.abc import Mapping, Sequence

import pytest

from bandit.counting import MAX_CITY_NAMES, Counting, refusal
from bandit.counting_store import (
    CITY,
    REFERRER,
    Cell,
    CityName,
    Claim,
    Count,
    CountWrite,
    Key,
    NameWrite,
    Progress,
    ProgressWrite,
    ReferrerCell,
    Sampled,
    SampledSet,
    Value,
    WouldBe,
)
from bandit.event import BannerEvent
from bandit.model import MAX_REFERRERS, OTHER, UNKNOWN
from tests.storage.events import DAY, clicked, served, viewed

SHARD, STARTED_US = 3, 1_000_000
CELL = Cell("shop", "home", DAY, "learned", "Pune", "sale")


class Away(Exception):
    """The store does not answer."""


class Memory:
    """A store that loses nothing, and is away when told so."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, Key], Value] = {}
        self.claims: set[Claim] = set()
        self.known: dict[tuple[int, str, str], dict[str, int]] = {}
        self.clicks: list[BannerEvent] = []
        self.stored: dict[int, Progress] = {}
        self.stamps: list[int] = []
        self.away: set[str] = set()
        self.written: list[str] = []

    def _call(self, name: str) -> None:
        if name in self.away:
            raise Away
        self.written.append(name)

    def progress(self, shard: int) -> Progress | None:
        return self.stored.get(shard)

    def claim(self, claims: Sequence[Claim]) -> None:
        self._call("claim")
        self.claims |= set(claims)

    def owners(self, claims: Sequence[Claim]) -> Sequence[int]:
        self._call("owners")
        return [min(other.offset for other in self.claims if other[:2] == claim[:2]) for claim in claims]

    def counts(self, shard: int, keys: Sequence[Key]) -> Sequence[Value | None]:
        self._call("counts")
        return [self.rows.get((shard, key)) for key in keys]

    def names(self, shard: int, tenant: str, sort: str) -> Mapping[str, int]:
        self._call("names")
        return self.known.get((shard, tenant, sort), {})

    def write(self, counts: Sequence[CountWrite], names: Sequence[NameWrite], clicks: Sequence[BannerEvent]) -> None:
        self._call("write")
        self.rows |= {(one.shard, one.key): one.value for one in counts}
        for one in names:
            self.known.setdefault((one.shard, one.tenant, one.sort), {})[one.name] = one.first_offset
        self.clicks += clicks
        self.stamps += [one.stamp_us for one in counts]

    def write_progress(self, progress: Sequence[ProgressWrite]) -> None:
        self._call("write_progress")
        self.stored |= {one.shard: one.progress for one in progress}
        self.stamps += [one.stamp_us for one in progress]


def log(*events: BannerEvent) -> list[tuple[int, BannerEvent]]:
    """These events from offset 100 on, of one journal."""
    return [
        (100 + number, event._replace(shard=SHARD, journal=7, sequence=number + 1))
        for number, event in enumerate(events)
    ]


def count(store: Memory, records: Sequence[tuple[int, BannerEvent]], *, flush: bool = True) -> Counting:
    """A consumer that counted these from what is stored on."""
    counting = Counting(store, STARTED_US)
    position = counting.start(SHARD, 100)
    counting.take(SHARD, [one for one in records if one[0] >= position], records[-1][0] + 1)
    counting.settle()
    if flush:
        counting.flush()
    return counting


def test_an_impression_its_view_and_its_click_are_stored_with_the_offset_they_are_counted_up_to() -> None:
    store = Memory()
    count(store, log(served(1), viewed(served(1)), clicked(served(1)), served(2, verdict="bot")))
    assert store.rows == {
        (SHARD, CELL): Count(1, 1, 1, 102),
        (SHARD, ReferrerCell("shop", "home", DAY, UNKNOWN, "sale")): Count(1, 1, 1, 102),
    }
    assert [click.impression_id for click in store.clicks] == [served(1).impression_id]
    assert store.stored[SHARD].next_offset == 104


def test_what_was_drawn_is_summed_up_by_what_competed_as_far_as_it_is_counted() -> None:
    store = Memory()
    records = log(
        served(1, eligible="new sale", propensity=0.25),
        served(2, eligible="new sale"),
        served(3, eligible="new sale", verdict="bot"),
        clicked(served(2, eligible="new sale")),
        served(4, policy="fixed", reason="shadow", eligible="new sale", would_be_banner="new"),
        served(5),
    )
    for end in (1, 2, 6):
        count(store, records[:end])
    assert {key: value for (_, key), value in store.rows.items() if isinstance(key, SampledSet | WouldBe)} == {
        SampledSet("shop", "home", DAY, "new sale", "sale"): Sampled(2, 6.0, 20.0, 4.0, 101),
        SampledSet("shop", "home", DAY, "new sale", "new"): Sampled(1, 2.0, 4.0, 2.0, 104),
        WouldBe("shop", "home", DAY, "Pune", "new"): Count(1, 0, 0, 104),
    }


def test_stamps_come_from_the_epoch_and_the_offset_never_from_a_clock() -> None:
    store = Memory()
    count(store, log(served(1), served(2)))
    assert store.stamps == [STARTED_US + 101] * 3


def test_rows_are_stored_before_progress_and_progress_only_when_they_are() -> None:
    store = Memory()
    counting = count(store, log(served(1)), flush=False)
    store.away = {"write"}
    with pytest.raises(Away):
        counting.flush()
    assert store.stored == {}
    store.away = set()
    assert counting.flush() == {SHARD: 101}
    assert store.written[-2:] == ["write", "write_progress"]


@pytest.mark.parametrize("call", ["claim", "owners", "counts", "names"])
def test_counting_goes_on_where_the_store_was_away(call: str) -> None:
    store = Memory()
    counting = Counting(store, STARTED_US)
    counting.start(SHARD, 100)
    counting.take(SHARD, log(served(1, referrer="mail"), clicked(served(1, referrer="mail"))), 102)
    store.away = {call}
    with pytest.raises(Away):
        counting.settle()
    store.away = set()
    counting.settle()
    counting.flush()
    assert store.rows[SHARD, CELL] == Count(1, 1, 1, 101)
    assert len(store.clicks) == 1


def test_nothing_is_flushed_while_records_are_not_settled() -> None:
    counting = Counting(Memory(), STARTED_US)
    counting.start(SHARD, 100)
    counting.take(SHARD, log(served(1)), 101)
    with pytest.raises(AssertionError, match="settle first"):
        counting.flush()


def test_a_replay_of_the_log_changes_nothing() -> None:
    store, events = Memory(), log(served(1), clicked(served(1)), clicked(served(1)), served(2))
    count(store, events)
    rows = dict(store.rows)
    store.stored.clear()
    count(store, events)
    assert store.rows == rows


def test_a_row_that_is_ahead_of_the_position_takes_up_only_what_it_lacks_and_is_stored_again() -> None:
    store, events = Memory(), log(served(1), served(2), served(3))
    count(store, events[:2])
    ahead = dict(store.rows)
    store.stored.clear()
    store.stamps.clear()
    count(store, events[:1])
    assert store.rows == ahead
    assert store.stamps == [STARTED_US + 101] * 2 + [STARTED_US + 100]


def test_a_copy_of_a_record_is_a_duplicate_also_for_the_next_owner() -> None:
    store, (first, second) = Memory(), log(served(1), served(2))
    count(store, [first])
    counting = Counting(store, STARTED_US)
    counting.start(SHARD, 100)
    assert counting.take(SHARD, [(101, first[1]), (102, second[1])], 103) == 1
    counting.settle()
    counting.flush()
    assert store.rows[SHARD, CELL] == Count(2, 0, 0, 102)


def test_of_two_clicks_in_one_batch_the_earlier_one_counts() -> None:
    store = Memory()
    first, second = clicked(served(1)), clicked(served(1), received_at=served(1).served_at + 9)
    count(store, log(first, second))
    assert store.rows[SHARD, CELL] == Count(0, 1, 1, 100)
    assert [click.received_at for click in store.clicks] == [first.received_at]


def test_a_forgotten_shard_is_read_anew() -> None:
    store, events = Memory(), log(served(1), served(2), served(3))
    counting = count(store, events[:1])
    count(store, events[:2])
    counting.forget([SHARD])
    assert counting.start(SHARD, 100) == 102
    counting.take(SHARD, events[2:], 103)
    counting.settle()
    counting.flush()
    assert store.rows[SHARD, CELL] == Count(3, 0, 0, 102)


def test_a_tenants_first_referrers_of_a_shard_keep_their_names_and_later_ones_are_other() -> None:
    store = Memory()
    impressions = [served(number, referrer=f"r{number}") for number in range(MAX_REFERRERS + 2)]
    records = log(*impressions, clicked(impressions[0]), clicked(impressions[-1]))
    count(store, records[:-2])
    count(store, records)
    rows = {key.referrer: row for (_, key), row in store.rows.items() if isinstance(key, ReferrerCell)}
    assert len(rows) == MAX_REFERRERS + 1
    assert rows["r0"][:3] == (1, 1, 1) and rows[OTHER][:3] == (2, 1, 1)
    assert len(store.known[SHARD, "shop", REFERRER]) == MAX_REFERRERS


def test_names_registered_ahead_of_the_position_take_no_place_before_their_time() -> None:
    store = Memory()
    store.known[SHARD, "shop", REFERRER] = {f"r{number}": 1_000 + number for number in range(MAX_REFERRERS)}
    count(store, log(served(1, referrer="first")))
    assert (SHARD, ReferrerCell("shop", "home", DAY, "first", "sale")) in store.rows


def test_unrecognised_cities_are_listed_up_to_a_bound() -> None:
    store = Memory()
    named = [served(number, city=OTHER, unrecognised_city=f"c{number}") for number in range(MAX_CITY_NAMES + 5)]
    count(store, log(*named, served(9_999, city=OTHER, unrecognised_city="c0")))
    rows = {key.name: row[0] for (_, key), row in store.rows.items() if isinstance(key, CityName)}
    assert len(rows) == len(store.known[SHARD, "shop", CITY]) == MAX_CITY_NAMES
    assert rows["c0"] == 2


def test_an_event_of_another_shard_or_without_a_number_is_refused() -> None:
    (_, good), *_ = log(served(1))
    assert refusal(good, SHARD) is None
    assert "shard 3" in str(refusal(good, SHARD + 1))
    assert "journal" in str(refusal(good._replace(journal=0), SHARD))
    assert "journal" in str(refusal(good._replace(sequence=0), SHARD))

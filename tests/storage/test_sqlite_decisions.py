"""What was drawn, and from what, in the embedded store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bandit.model import SampledRow, WouldBeRow
from storage.sqlite import SqliteStore
from tests.storage.events import DAY, Log, clicked, deliver, served


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "banner.db")
    yield opened
    opened.close()


def test_draws_are_summed_up_by_what_they_were_drawn_from(store: SqliteStore) -> None:
    deliver(store, *[served(number, eligible="sale new", propensity=0.5, city=f"c{number}") for number in range(3)])
    deliver(store, served(3, eligible="sale new", propensity=0.25), served(4, eligible="sale"), journal=8)
    assert sorted(store.sampled("shop", "home", DAY, DAY)) == [
        SampledRow(DAY, "sale", "sale", 1, 2.0, 4.0, 2.0),
        SampledRow(DAY, "sale new", "sale", 4, 10.0, 28.0, 4.0),
    ]
    assert store.sampled("mall", "home", DAY, DAY) == store.sampled("shop", "home", DAY + 1, DAY + 9) == []


def test_a_batch_that_comes_twice_is_summed_up_once(store: SqliteStore) -> None:
    records = Log().records(*[served(number, eligible="sale new") for number in range(5)])
    for _ in range(3):
        assert store.deliver(records) == []
    assert [row.decisions for row in store.sampled("shop", "home", DAY, DAY)] == [5]


def test_only_impressions_that_count_and_were_drawn_are_summed_up(store: SqliteStore) -> None:
    impression = served(1, eligible="sale new")
    deliver(
        store,
        impression,
        clicked(impression, eligible="sale new"),
        served(2, eligible="sale new", verdict="bot"),
        served(3, policy="fixed", reason="pinned", propensity=1.0),
        served(4, eligible="sale new", propensity=0.0),
    )
    assert [row.decisions for row in store.sampled("shop", "home", DAY, DAY)] == [1]


def test_in_shadow_what_would_have_been_drawn_is_summed_up(store: SqliteStore) -> None:
    shadow = {"policy": "fixed", "reason": "shadow", "eligible": "sale new", "would_be_banner": "new"}
    deliver(store, *[served(number, **shadow, propensity=0.5) for number in range(3)], served(9, **shadow, city="Goa"))
    assert sorted(store.would_be("shop", "home", DAY, DAY)) == [
        WouldBeRow(DAY, "Goa", "new", 1),
        WouldBeRow(DAY, "Pune", "new", 3),
    ]
    (sampled,) = store.sampled("shop", "home", DAY, DAY)
    assert (sampled.banner, sampled.decisions, sampled.inverse) == ("new", 4, 8.0)


def test_raw_events_are_read_by_slot_and_day_in_the_order_they_came(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite_decisions.STEP", 3)
    events = [served(number, slot="home" if number % 3 else "cart", day=DAY + number % 2) for number in range(10)]
    deliver(store, *events, clicked(events[1]), served(20, tenant="mall"))
    read = list(store.events("shop", "home", DAY + 1, DAY + 1))
    assert [(event.kind, int.from_bytes(event.impression_id[8:], "big")) for event in read] == [
        ("served", 1), ("served", 5), ("served", 7), ("clicked", 1),
    ]  # fmt: skip
    assert list(store.events("shop", "nowhere", 0, 2 * DAY)) == []


def test_a_store_of_the_first_version_gets_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage import sqlite_schema

    monkeypatch.setattr(sqlite_schema.upgrade, "__defaults__", ((sqlite_schema.VERSION_1,),))
    SqliteStore.open(tmp_path / "old.db").close()
    monkeypatch.undo()
    upgraded = SqliteStore.open(tmp_path / "old.db")
    deliver(upgraded, served(1, eligible="sale"))
    assert len(upgraded.sampled("shop", "home", DAY, DAY)) == 1
    upgraded.close()

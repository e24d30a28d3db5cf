"""What was drawn, and from what, in the embedded store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.sqlite import SqliteStore
from tests.storage.events import DAY, clicked, deliver, served


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "banner.db")
    yield opened
    opened.close()


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

"""The version of the SQLite file, and documents written by other releases."""

import json
import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bandit.model import ALL_CITIES, Banner, CountRow, Slot, Tenant
from storage.base import SchemaVersionError
from storage.documents import dump, load
from storage.sqlite import SqliteStore
from storage.sqlite_schema import MIGRATIONS, upgrade
from tests.storage.events import Log, served, totals

ADD_COLUMN = ("ALTER TABLE clicks ADD COLUMN device TEXT", "UPDATE meta SET value = value + 1000")
FAILS = ("CREATE TABLE half_done (x)", "INSERT INTO no_such_table VALUES (1)")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "banner.db"
    store = SqliteStore.open(path)
    store.deliver(Log().records(served(1)))
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        yield opened


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_new_store_has_the_newest_version_and_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    assert version(connection) == len(MIGRATIONS)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_opening_a_store_again_changes_nothing(connection: sqlite3.Connection) -> None:
    before = list(connection.iterdump())
    upgrade(connection)
    assert list(connection.iterdump()) == before


def test_an_older_store_is_upgraded_and_keeps_its_rows(connection: sqlite3.Connection) -> None:
    upgrade(connection, (*MIGRATIONS, ADD_COLUMN))
    assert version(connection) == len(MIGRATIONS) + 1
    assert connection.execute("SELECT count(device) FROM clicks").fetchone() == (0,)
    assert connection.execute("SELECT sum(served) FROM counts").fetchone() == (1,)


def test_days_that_were_counted_before_they_were_summed_are_summed_by_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "banner.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        upgrade(old, MIGRATIONS[:4])
        rows = [("Pune", 0, 5, 3, 1), ("Delhi", 0, 2, 2, 2), ("Delhi", 4, 1, 0, 0)]
        old.executemany("INSERT INTO counts VALUES ('shop', 'home', 9, 0, 'learned', ?, 'sale', ?, ?, ?, ?)", rows)
    store = SqliteStore.open(path)
    assert store.daily_counts("shop", "home", 9, 9) == [CountRow(9, "learned", ALL_CITIES, "sale", 8, 5, 3)]
    store.close()


def test_an_upgrade_that_fails_leaves_the_version_before(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        upgrade(connection, (*MIGRATIONS, ADD_COLUMN, FAILS))
    assert version(connection) == len(MIGRATIONS) + 1
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'half_done'").fetchall() == []


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaVersionError, match=r"version 99.*up to \d+.*newer release"):
        SqliteStore.open(tmp_path / "banner.db")
    assert version(connection) == 99


def open_and_count(path: Path) -> None:
    store = SqliteStore.open(path)
    assert totals(store) == (0, 0, 0)
    store.close()


def test_processes_that_start_at_once_make_one_store(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    starters = [processes.Process(target=open_and_count, args=(tmp_path / "banner.db",)) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(60)
    assert [starter.exitcode for starter in starters] == [0] * 4


def test_a_document_of_an_older_release_gets_the_defaults_of_later_fields() -> None:
    assert load(Slot, '{"id": "home"}') == Slot("home")
    assert load(Tenant, '{"id": "shop", "cities": {"Pune": ["Poona"]}}') == Tenant("shop", cities={"Pune": ("Poona",)})


def test_a_document_of_a_newer_release_loses_only_what_is_unknown() -> None:
    document = json.loads(dump(Banner("home", "sale", "a.png", "https://shop.example/")))
    assert load(Banner, json.dumps(document | {"mood": "sunny"})) == Banner(
        "home", "sale", "a.png", "https://shop.example/"
    )


def test_a_value_json_does_not_know_is_not_stored_as_something_else() -> None:
    with pytest.raises(TypeError, match="complex"):
        dump(Slot("home", width=1j))  # type: ignore[arg-type]

"""The SQLite store: the contracts, and what it does when it is shared, interrupted, full or gone."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bandit.event import decode
from storage.base import StoreUnavailable
from storage.sqlite import SqliteStore
from tests.storage.audit_contract import AuditContract
from tests.storage.contract import EventSinkContract, ReadingContract, StoreContract
from tests.storage.decisions_contract import DecisionsContract
from tests.storage.events import Log, all_rows, clicked, served, totals
from tests.storage.segments_contract import SegmentsContract
from tests.storage.sqlite_file import SLOTS, expected, query, stream


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "banner.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(path)
    yield opened
    opened.close()


@pytest.fixture
def sink(store: SqliteStore) -> SqliteStore:
    return store


class TestSqliteStore(StoreContract):
    pass


class TestSqliteReading(ReadingContract):
    pass


class TestSqliteSegments(SegmentsContract):
    """Groups of customers."""


class TestSqliteDecisions(DecisionsContract):
    pass


class TestSqliteAudit(AuditContract):
    pass


class TestSqliteSink(EventSinkContract):
    pass


# --- what is kept ---


def test_events_are_kept_as_the_bytes_that_were_journaled(store: SqliteStore, path: Path) -> None:
    records = Log().records(served(1), served(2, verdict="bot"), clicked(served(1)), clicked(served(1)))
    store.deliver(records + records[:2])
    assert [row[0] for row in query(path, "SELECT payload FROM events ORDER BY id")] == [r.payload for r in records]


def test_a_forgotten_customer_is_in_no_byte_of_the_store(store: SqliteStore, path: Path) -> None:
    customer = b"\xfeCUSTOMR"
    store.deliver(Log().records(served(1, customer=customer), clicked(served(1, customer=customer)), served(2)))
    store.forget_customer("shop", customer)
    query(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert customer not in path.read_bytes()
    payloads = [row[0] for row in query(path, "SELECT payload FROM events ORDER BY id")]
    assert [decode(payload).customer for payload in payloads] == [None, None, None]


def test_what_was_counted_is_there_when_the_store_is_opened_again(store: SqliteStore, path: Path) -> None:
    store.deliver(Log().records(served(1), clicked(served(1))))
    store.close()
    again = SqliteStore.open(path)
    assert totals(again) == (1, 1, 1)
    again.close()


def test_a_backup_is_a_whole_store_and_replaces_an_older_one(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    for number in (1, 2):
        store.deliver(Log(journal=number).records(served(number)))
        store.backup(target)
    copy = SqliteStore.open(target)
    assert totals(copy) == (2, 0, 0)
    assert copy.integrity() == []
    copy.close()
    assert not list(tmp_path.glob("*.partial"))


def test_a_backup_that_cannot_be_written_says_so(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        store.backup(tmp_path / "missing" / "backup.db")


def test_after_a_restored_backup_everything_may_have_changed(store: SqliteStore) -> None:
    store.deliver(Log().records(served(1)))
    assert store.changes(10**6) == (1, None)


def test_integrity_names_what_is_broken(store: SqliteStore, path: Path) -> None:
    store.deliver(Log().records(*(served(number) for number in range(2000))))
    assert store.integrity() == []
    store.close()
    content = bytearray(path.read_bytes())
    for page in range(20, len(content) // 4096, 7):
        content[page * 4096 : page * 4096 + 200] = bytes(200)
    path.write_bytes(content)
    broken = SqliteStore(path)
    assert broken.integrity()
    broken.close()


# --- all or nothing ---


def test_a_delivery_that_does_not_fit_on_the_disk_leaves_nothing_and_can_be_repeated(store: SqliteStore) -> None:
    records = stream(3, 3000, journal=5)
    store.deliver(records[:100])
    before = all_rows(store, SLOTS)
    with store._connections.outside_transactions() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreUnavailable, match="full"):
        store.deliver(records)
    assert all_rows(store, SLOTS) == before
    assert store.deliver(records) == []
    assert all_rows(store, SLOTS) == {key: expected(records).rows(*key) for key in SLOTS}


def test_a_store_somebody_else_writes_for_too_long_is_unavailable_and_then_works(
    store: SqliteStore, path: Path
) -> None:
    impatient = SqliteStore(path, busy_seconds=0.02)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        impatient.deliver(Log().records(served(1)))
    assert totals(impatient) == (0, 0, 0), "reading waits for no writer"
    other.close()
    impatient.deliver(Log().records(served(1)))
    assert totals(store) == (1, 0, 0)
    impatient.close()


def test_an_error_of_the_caller_is_not_an_unavailable_store(store: SqliteStore) -> None:
    with pytest.raises(RuntimeError), store._connections.writing() as connection:
        connection.execute("DELETE FROM meta")
        raise RuntimeError
    assert store.configuration_version() > 0


@pytest.mark.parametrize("make", ["missing directory", "directory in its place", "not a database", "vanished"])
def test_a_store_that_cannot_be_reached_is_unavailable(tmp_path: Path, make: str) -> None:
    path = tmp_path / "data" / "banner.db"
    if make != "missing directory":
        path.parent.mkdir()
    if make == "directory in its place":
        path.mkdir()
    if make == "not a database":
        path.write_bytes(b"something else entirely" * 100)
    if make != "vanished":
        with pytest.raises(StoreUnavailable):
            SqliteStore.open(path)
    store = SqliteStore(path)
    for call in (store.configuration, store.configuration_version, lambda: store.deliver([]), store.integrity):
        with pytest.raises(StoreUnavailable):
            call()
    assert make != "vanished" or not path.exists(), "a reader made a new, empty store"


def test_a_closed_store_stays_closed(store: SqliteStore) -> None:
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.configuration()

"""The SQLite store: the contracts, and what it does when it is shared, interrupted, full or gone."""

import multiprocessing
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bandit.event import decode
from bandit.model import Slot, Tenant
from storage.base import Record, StoreUnavailable
from storage.sqlite import SqliteStore
from tests.storage.contract import EventSinkContract, StoreContract
from tests.storage.events import DAY, Log, Model, all_rows, batches, clicked, random_events, served, totals

SLOTS = [(tenant, slot) for tenant in ("shop", "mall") for slot in ("home", "cart")]
processes = multiprocessing.get_context("spawn")


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


class TestSqliteSink(EventSinkContract):
    pass


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What another program sees in the file, or does to it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


def stream(seed: int, impressions: int, journal: int) -> list[Record]:
    """The same records whenever and wherever it is called."""
    return Log(journal).records(*random_events(random.Random(seed), impressions))


def expected(*records: Record) -> Model:
    model = Model()
    for record in records:
        model.take(decode(record.payload))
    return model


def deliver_all(path: Path, records: list[Record], most: int) -> None:
    """Runs in processes of its own too."""
    store = SqliteStore.open(path)
    for batch in batches(random.Random(1), records, most):
        assert store.deliver(batch) == []
    store.close()


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
    payloads = [bytes(str(row[0]), "latin-1") if isinstance(row[0], str) else row[0] for row in _payloads(path)]
    assert [decode(payload).customer for payload in payloads] == [None, None, None]


def _payloads(path: Path) -> list[tuple[bytes]]:
    return query(path, "SELECT payload FROM events ORDER BY id")  # type: ignore[return-value]


def test_what_was_counted_is_there_when_the_store_is_opened_again(path: Path) -> None:
    deliver_all(path, Log().records(served(1), clicked(served(1))), most=1)
    store = SqliteStore.open(path)
    assert totals(store) == (1, 1, 1)
    store.close()


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
    assert all_rows(store, SLOTS) == {key: expected(*records).rows(*key) for key in SLOTS}


def test_a_store_somebody_else_writes_for_too_long_is_unavailable_and_then_works(
    store: SqliteStore, path: Path
) -> None:
    store.deliver([])
    with store._connections.outside_transactions() as connection:
        connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.deliver(Log().records(served(1)))
    other.close()
    store.deliver(Log().records(served(1)))
    assert totals(store) == (1, 0, 0)


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


# --- shared ---


def test_threads_share_a_store(store: SqliteStore) -> None:
    logs = [stream(number, 150, journal=number) for number in range(1, 7)]
    threads = [
        threading.Thread(target=lambda log=log: [store.deliver(batch) for batch in batches(random.Random(2), log, 40)])
        for log in logs
    ]
    for thread in threads:
        thread.start()
    versions = []
    while any(thread.is_alive() for thread in threads):
        store.put_slot("shop", Slot(f"slot-{len(versions)}"))
        versions.append(store.configuration_version())
        assert totals(store) is not None
    for thread in threads:
        thread.join()
    assert versions == sorted(set(versions))
    assert sum(row.served for rows in all_rows(store, SLOTS).values() for row in rows) == sum(
        decode(record.payload)[0::12] == ("served", "accepted") for log in logs for record in log
    )


def test_two_processes_write_at_once(path: Path) -> None:
    logs = [stream(number, 600, journal=number) for number in (1, 2)]
    writers = [processes.Process(target=deliver_all, args=(path, log, 20)) for log in logs]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = SqliteStore.open(path)
    found = sum(row.served for rows in all_rows(store, SLOTS).values() for row in rows)
    assert found == sum(decode(r.payload)[0::12] == ("served", "accepted") for log in logs for r in log)
    assert store.integrity() == []
    store.close()


def test_configuration_is_read_in_one_piece(store: SqliteStore, path: Path) -> None:
    """A writer makes and removes whole tenants; no reader ever sees a part of one."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            with store._connections.writing() as connection:
                connection.execute("INSERT INTO tenants VALUES ('t', '{\"id\": \"t\"}')")
                connection.execute("INSERT INTO slots VALUES ('t', 's', '{\"id\": \"s\"}')")
            store.delete_tenant("t")

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        seen = {(len(c.tenants), len(c.slots)) for c in (store.configuration() for _ in range(300))}
    finally:
        stop.set()
        writer.join()
    assert seen <= {(0, 0), (1, 1)}


def fork_and_deliver(path: Path) -> None:
    """Forks with the store in use, then parent and child both go on with it."""
    store = SqliteStore.open(path)
    store.deliver(Log(1).records(served(1)))
    child = os.fork()
    journal = 3 if child else 2
    for number in range(20):
        store.deliver(Log(journal * 100 + number).records(served(journal * 100 + number)))
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_fork_does_not_share_a_connection(path: Path) -> None:
    parent = processes.Process(target=fork_and_deliver, args=(path,))
    parent.start()
    parent.join(60)
    assert parent.exitcode == 0
    store = SqliteStore.open(path)
    assert totals(store) == (41, 0, 0)
    assert store.integrity() == []
    store.close()


# --- killed ---


def deliver_and_be_killed(path: Path, records: list[Record]) -> None:
    """Delivers everything from the start, as a drain does that lost its mark."""
    deliver_all(path, records, most=60)
    threading.Event().wait()


def kill_in_the_middle(path: Path, records: list[Record], rng: random.Random) -> None:
    """Kill -9 a process that delivers, at a point of its progress drawn at random, hence mostly inside `deliver`."""
    taken = query(path, "SELECT count(*) FROM events")[0][0]
    assert isinstance(taken, int)
    aim = taken + rng.randint(1, 300)
    victim = processes.Process(target=deliver_and_be_killed, args=(path, records))
    victim.start()
    wait_until(lambda: query(path, f"SELECT count(*) >= {aim} FROM events")[0][0] == 1)
    victim.kill()
    victim.join()


def test_a_process_killed_while_it_delivers_counts_everything_once(path: Path) -> None:
    SqliteStore.open(path).close()
    rng, records = random.Random(21), stream(22, 1500, journal=9)
    for _ in range(8):
        kill_in_the_middle(path, records, rng)
    assert query(path, "SELECT count(*) FROM events")[0][0] < len(records)  # type: ignore[operator]
    store = SqliteStore.open(path)
    assert store.integrity() == []
    deliver_all(path, records, most=500)
    assert all_rows(store, SLOTS) == {key: expected(*records).rows(*key) for key in SLOTS}

    # The same without remembered positions fails: the check above can tell.
    query(path, "DELETE FROM positions")
    deliver_all(path, records, most=500)
    assert all_rows(store, SLOTS) != {key: expected(*records).rows(*key) for key in SLOTS}
    store.close()


def test_reads_answer_from_an_index(path: Path, store: SqliteStore) -> None:
    """A plan that scans or sorts would be slow only once the store is large."""
    store.put_tenant("shop", Tenant("shop"))
    plans = {
        """SELECT day, policy, city, banner, sum(served) FROM counts WHERE tenant = '' AND slot = ''
           AND day BETWEEN 0 AND 9 AND epoch = 0 GROUP BY day, policy, city, banner""": "TEMP B-TREE",
        "SELECT id FROM events WHERE received_at < 5 ORDER BY received_at LIMIT 5": "SCAN",
        "SELECT tenant, slot, day FROM changed WHERE revision > 5": "SCAN",
        f"SELECT slot FROM clicks WHERE tenant = '' AND city = '' AND day = {DAY}": "SCAN",
    }
    for statement, slow in plans.items():
        plan = " ".join(str(row[3]) for row in query(path, f"EXPLAIN QUERY PLAN {statement}"))
        assert slow not in plan, f"{statement}: {plan}"

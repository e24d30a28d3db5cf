"""A SQLite store that threads and processes share, and one whose process is killed."""

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bandit.model import Slot
from storage.base import Record
from storage.sqlite import SqliteStore
from tests.storage.events import Log, all_rows, batches, served, totals
from tests.storage.sqlite_file import SLOTS, expected, impressions, query, stream

processes = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "banner.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(path)
    yield opened
    opened.close()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


def all_served(store: SqliteStore) -> int:
    return sum(row.served for rows in all_rows(store, SLOTS).values() for row in rows)


def deliver_all(path: Path, records: list[Record], most: int) -> None:
    """Runs in processes of its own too."""
    store = SqliteStore.open(path)
    for batch in batches(random.Random(1), records, most):
        assert store.deliver(batch) == []
    store.close()


def test_threads_share_a_store(store: SqliteStore) -> None:
    logs = [stream(number, 150, journal=number) for number in range(1, 7)]
    threads = [
        threading.Thread(target=lambda log=log: [store.deliver(batch) for batch in batches(random.Random(2), log, 40)])
        for log in logs
    ]
    for thread in threads:
        thread.start()
    versions: list[int] = []
    while any(thread.is_alive() for thread in threads):
        store.put_slot("shop", Slot(f"slot-{len(versions)}"))
        versions.append(store.configuration_version())
        all_served(store)
    for thread in threads:
        thread.join()
    assert versions == sorted(set(versions))
    assert all_served(store) == sum(map(impressions, logs))


def test_two_processes_write_at_once(path: Path) -> None:
    logs = [stream(number, 600, journal=number) for number in (1, 2)]
    writers = [processes.Process(target=deliver_all, args=(path, log, 20)) for log in logs]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = SqliteStore.open(path)
    assert all_served(store) == sum(map(impressions, logs))
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


def kill_in_the_middle(path: Path, records: list[Record], rng: random.Random) -> bool:
    """Kill -9 a process that delivers, at a point of its progress drawn at random, hence mostly inside `deliver`.

    False when it was through before.
    """

    def taken() -> int:
        return int(query(path, "SELECT count(*) FROM events")[0][0])

    aim = min(taken() + rng.randint(1, 1200), len(records))
    victim = processes.Process(target=deliver_and_be_killed, args=(path, records))
    victim.start()
    wait_until(lambda: taken() >= aim)
    victim.kill()
    victim.join()
    return taken() < len(records)


def test_a_process_killed_while_it_delivers_counts_everything_once(store: SqliteStore, path: Path) -> None:
    rng, records = random.Random(21), stream(22, 1500, journal=9)
    kills = 0
    while kill_in_the_middle(path, records, rng):
        kills += 1
        assert store.integrity() == []
    assert kills >= 2
    deliver_all(path, records, most=500)
    assert all_rows(store, SLOTS) == {key: expected(records).rows(*key) for key in SLOTS}

    # The same without remembered positions fails: the check above can tell.
    query(path, "DELETE FROM positions")
    deliver_all(path, records, most=500)
    assert all_rows(store, SLOTS) != {key: expected(records).rows(*key) for key in SLOTS}

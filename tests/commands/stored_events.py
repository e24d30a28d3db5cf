"""Events in a journal and in the store, for the commands that copy and erase them."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bandit.event import BannerEvent, decode, encode
from bandit.model import Kind, Policy, Reason, Verdict
from data_directory import Paths
from storage.drain import backlog_bytes, drain
from storage.journal import Journal
from storage.sqlite import SqliteStore
from tests.service_process import wait_until

SERVED_AT = 1_780_000_000_000_000
DAY = 20_602


@dataclass
class Recorder:
    """Appends impressions and clicks, and remembers those that were acknowledged."""

    journal: Journal
    acknowledged: list[bytes] = field(default_factory=list)

    def serve(self, customer: bytes | None = None, tenant: str = "shop") -> bytes:
        """One impression; its id."""
        impression_id = SERVED_AT.to_bytes(8, "big") + (self.journal.id ^ len(self.acknowledged)).to_bytes(8, "big")
        self._append(Kind.SERVED, impression_id, customer, tenant)
        self.acknowledged.append(impression_id)
        return impression_id

    def click(self, impression_id: bytes, customer: bytes | None = None, tenant: str = "shop") -> None:
        """A click on it."""
        self._append(Kind.CLICKED, impression_id, customer, tenant)

    def _append(self, kind: Kind, impression_id: bytes, customer: bytes | None, tenant: str) -> None:
        def encoded(sequence: int) -> bytes:
            return encode(event._replace(journal=self.journal.id, sequence=sequence))

        event = an_event(kind, impression_id, customer, tenant)
        self.journal.append(0, encoded)


def an_event(
    kind: Kind = Kind.SERVED, impression_id: bytes = bytes(16), customer: bytes | None = None, tenant: str = "shop"
) -> BannerEvent:
    """Something accepted, of the banner b1 in Pune."""
    return BannerEvent(
        kind=kind,
        impression_id=impression_id,
        tenant=tenant,
        slot="home",
        city="pune",
        banner="b1",
        policy=Policy.LEARNED,
        day=DAY,
        served_at=SERVED_AT,
        received_at=SERVED_AT,
        propensity=0.5,
        reason=Reason.LEARNED,
        verdict=Verdict.ACCEPTED,
        customer=customer,
    )


def paths(directory: Path) -> Paths:
    """A data directory with an empty store."""
    made = Paths(directory)
    made.make()
    SqliteStore.open(made.database).close()
    return made


@contextmanager
def recorder(where: Paths, segment_bytes: int = 16 << 20) -> Iterator[Recorder]:
    """Writes to a journal of its own there."""
    journal = Journal.open(where.journal, segment_bytes=segment_bytes)
    try:
        yield Recorder(journal)
    finally:
        journal.close()


@contextmanager
def draining(where: Paths) -> Iterator[None]:
    """A drain at work."""
    stop = threading.Event()
    store = SqliteStore(where.database)
    thread = threading.Thread(
        target=drain, args=(where.journal, store), kwargs={"stop": stop, "idle_seconds": 0.002, "batch_records": 50}
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        store.close()


def drain_all(where: Paths) -> None:
    """Until the journal holds nothing more."""
    with draining(where):
        wait_until(lambda: not backlog_bytes(where.journal), "drained")


def events(where: Paths) -> list[BannerEvent]:
    """All raw events of the store."""
    with closing(sqlite3.connect(where.database)) as connection:
        return [decode(payload) for (payload,) in connection.execute("SELECT payload FROM events ORDER BY id")]


def served_ids(where: Paths) -> Counter[bytes]:
    """How often each impression was stored."""
    return Counter(event.impression_id for event in events(where) if event.kind == Kind.SERVED)


def served_count(where: Paths) -> int:
    """What the counts say."""
    store = SqliteStore(where.database)
    try:
        return sum(row.served for row in store.counts("shop", "home", DAY, DAY))
    finally:
        store.close()


def serve_until(stop: threading.Event, recorder: Recorder) -> None:
    """Some hundred impressions a second, so that the drain keeps up."""
    while not stop.wait(0.001):
        recorder.serve()

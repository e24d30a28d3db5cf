"""The Cassandra store on a real Cassandra: the contracts, and changes of configuration that are interrupted."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from bandit.model import Epoch, Seed
from storage import cassandra_change
from storage.base import Conflict, StoreUnavailable
from storage.cassandra import CassandraStore
from storage.cassandra_change import DECIDE, FINISH, WRITES, Head, Write, change, settled_head
from storage.cassandra_epochs import active_epoch, create_epoch, epochs, publish_epoch, set_partitions
from storage.cassandra_session import CassandraOptions, CassandraSession, OutcomeUnknown
from storage.documents import dump
from tests.services_fixtures import empty
from tests.storage.audit_contract import AuditContract
from tests.storage.cassandra_sink import CountingSink
from tests.storage.configured import SLOT, TENANT
from tests.storage.contract import ReadingContract, StoreContract
from tests.storage.decisions_contract import DecisionsContract
from tests.storage.events import NOON_US, deliver, served, totals
from tests.storage.segments_contract import SegmentsContract
from tests.storage.sink_contract import CountingContract, DeliveryContract

EPOCH = Epoch(1, "banner-events", "topic-id", 4, NOON_US, {0: 0, 3: 12}, "")


class LosesAnswers(CassandraSession):
    """Carries out conditional writes of one kind, and then says that it does not know."""

    def __init__(self, options: CassandraOptions, lost: str, *, after: bool = True) -> None:
        super().__init__(options)
        self._lost, self._after = lost, after

    def compare_and_set(self, statement: str, parameters: Any) -> bool:
        if statement != self._lost:
            return super().compare_and_set(statement, parameters)
        if self._after:
            super().compare_and_set(statement, parameters)
        raise OutcomeUnknown("the answer was lost")


class Dies(CassandraSession):
    """Writes only the first rows of a change."""

    def __init__(self, options: CassandraOptions, rows: int) -> None:
        super().__init__(options)
        self._rows_left = rows

    def run_many(self, requests: Sequence[Any], profile: str = "serving") -> Any:
        if requests and requests[0][0] in WRITES.values():
            super().run_many(requests[: self._rows_left], profile)
            raise StoreUnavailable("died")
        return super().run_many(requests, profile)


@pytest.fixture
def session(keyspace: CassandraOptions) -> Iterator[CassandraSession]:
    opened = CassandraSession(keyspace)
    empty(opened)
    yield opened
    opened.close()


@pytest.fixture
def store(keyspace: CassandraOptions, session: CassandraSession) -> Iterator[CassandraStore]:
    opened = CassandraStore(keyspace)
    yield opened
    opened.close()


@pytest.fixture
def sink(session: CassandraSession) -> CountingSink:
    return CountingSink(session)


class TestCassandraStore(StoreContract):
    pass


class TestCassandraSegments(SegmentsContract):
    """Groups of customers."""


class TestCassandraDecisions(DecisionsContract):
    pass


class TestCassandraAudit(AuditContract):
    pass


class TestCassandraReading(ReadingContract):
    pass


class TestCassandraCounting(CountingContract, DeliveryContract):
    """What consumers count, by the same rules as the embedded store."""


# --- a change is whole, whatever happens to who makes it ---


def slot_writes(count: int) -> list[Write]:
    """A change of several rows."""
    slots = [replace(SLOT, id=f"s{number}") for number in range(count)]
    return [("slot", {"tenant": "shop", "slot": slot.id, "document": dump(slot)}) for slot in slots]


def begin_and_die(session: CassandraSession, writes: list[Write]) -> None:
    with pytest.raises(StoreUnavailable, match="died"):
        change(session, lambda _head, _version: writes)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_change_whose_process_died_in_the_middle_is_finished_by_whoever_comes_next(
    keyspace: CassandraOptions, store: CassandraStore, session: CassandraSession, rows: int
) -> None:
    store.put_tenant("shop", TENANT)
    dying = Dies(keyspace, rows)
    begin_and_die(dying, slot_writes(4))
    dying.close()
    assert len(store.configuration().slots) == 4
    assert settled_head(session).change is None


def test_a_late_write_of_an_old_change_does_not_undo_a_newer_one(
    keyspace: CassandraOptions, store: CassandraStore, session: CassandraSession
) -> None:
    store.put_tenant("shop", TENANT)
    dying = Dies(keyspace, 0)
    begin_and_die(dying, slot_writes(1))
    dying.close()
    (stored,) = session.run(cassandra_change.READ_HEAD)
    old = Head._make(stored)
    store.put_slot("shop", replace(SLOT, id="s0", name="newer"))
    cassandra_change.finish(session, old)
    assert store.configuration().slots[("shop", "s0")].name == "newer"
    store.delete_slot("shop", "s0")
    cassandra_change.finish(session, old)
    assert store.configuration().slots == {}


def test_a_reader_sees_seeds_before_a_change_or_after_it(store: CassandraStore) -> None:
    store.put_tenant("shop", TENANT)
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(tuple(sorted({seed.trials for seed in store.seeds("shop", "home")})))

    reader = threading.Thread(target=read)
    reader.start()
    for trials in range(1, 8):
        store.put_seeds("shop", "home", "h", [Seed("h", f"c{n}", "sale", float(trials), 0.0) for n in range(200)])
    stop.set()
    reader.join()
    assert all(len(trials) <= 1 for trials in seen)


@pytest.mark.parametrize("was_applied", [True, False])
def test_a_decision_whose_answer_was_lost_counts_as_what_it_was(
    keyspace: CassandraOptions, store: CassandraStore, was_applied: bool
) -> None:
    """One that was not carried out is tried again, here until the deadline: the answer is lost each time."""
    store.put_tenant("shop", TENANT)
    version = store.configuration_version()
    loses = LosesAnswers(keyspace, DECIDE, after=was_applied)
    if was_applied:
        change(loses, lambda _head, _version: slot_writes(2), expected_version=version)
    else:
        with pytest.raises(StoreUnavailable):
            change(loses, lambda _head, _version: slot_writes(2), expected_version=version, deadline_seconds=0.2)
    loses.close()
    assert len(store.configuration().slots) == (2 if was_applied else 0)


def test_a_change_that_could_not_say_that_it_is_done_is_done(keyspace: CassandraOptions, store: CassandraStore) -> None:
    store.put_tenant("shop", TENANT)
    for after in (True, False):
        loses = LosesAnswers(keyspace, FINISH, after=after)
        change(loses, lambda _head, _version: slot_writes(2))
        loses.close()
        assert len(store.configuration().slots) == 2


def test_edits_of_several_processes_at_once_are_all_kept(keyspace: CassandraOptions, store: CassandraStore) -> None:
    """Each reads the slot, adds its city to what it found, and tries again when somebody was quicker."""
    store.put_tenant("shop", replace(TENANT, segments=()))
    stores = [CassandraStore(keyspace) for _ in range(4)]

    def edit(own: CassandraStore, number: int) -> None:
        while True:
            known = own.configuration()
            tenant = known.tenants["shop"]
            with suppress(Conflict):
                value = replace(tenant, segments=(*tenant.segments, f"s{number}"))
                return own.put_tenant("shop", value, expected_version=known.version)

    threads = [threading.Thread(target=edit, args=(own, number)) for number, own in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in stores:
        own.close()
    assert set(store.configuration().tenants["shop"].segments) == {"s0", "s1", "s2", "s3"}


def test_many_seeds_are_one_change(store: CassandraStore) -> None:
    seeds = [Seed("h", f"city-{n}", f"banner-{n % 40}", n / 7, n / 700) for n in range(4_000)]
    store.put_seeds("shop", "home", "h", seeds)
    assert sorted(store.seeds("shop", "home")) == sorted(seeds)


# --- epochs ---


def test_before_any_epoch_was_published_there_is_one_shard(store: CassandraStore, session: CassandraSession) -> None:
    create_epoch(session, EPOCH)
    assert active_epoch(session) is None
    assert [epoch.state for epoch in epochs(session)] == ["filling"]
    assert store.configuration().partitions == 1


def test_publishing_an_epoch_switches_counts_and_shards_at_once(
    store: CassandraStore, session: CassandraSession, sink: CountingSink
) -> None:
    create_epoch(session, EPOCH)
    deliver(sink, served(1))
    deliver(CountingSink(session, epoch=1), served(1), served(2))
    assert totals(store) == (1, 0, 0)
    version = store.configuration_version()
    publish_epoch(session, 1)
    assert store.configuration_version() > version
    assert store.configuration().partitions == 4
    assert totals(store) == (2, 0, 0)
    assert active_epoch(session) == EPOCH._replace(state="active")


def test_the_epoch_before_is_kept_and_said_to_be_retired(session: CassandraSession) -> None:
    for number in (1, 2):
        create_epoch(session, EPOCH._replace(number=number))
        publish_epoch(session, number)
    assert [(epoch.number, epoch.state) for epoch in epochs(session)] == [(1, "retired"), (2, "active")]


def test_an_epochs_number_is_never_used_again(session: CassandraSession) -> None:
    create_epoch(session, EPOCH)
    for wrong in (EPOCH, EPOCH._replace(number=0)):
        with pytest.raises(Conflict, match="never used again"):
            create_epoch(session, wrong)
    with pytest.raises(Conflict, match="there is no epoch 7; there are: 1"):
        publish_epoch(session, 7)


def test_partitions_are_added_and_never_taken_away(store: CassandraStore, session: CassandraSession) -> None:
    create_epoch(session, EPOCH)
    publish_epoch(session, 1)
    set_partitions(session, 1, 8)
    assert store.configuration().partitions == 8
    with pytest.raises(Conflict):
        set_partitions(session, 1, 4)

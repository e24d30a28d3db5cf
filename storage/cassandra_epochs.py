"""Generations of counts in Cassandra: made by a command, switched to by one row."""

from collections.abc import Sequence

import orjson

from bandit.model import Epoch
from storage.base import Conflict
from storage.cassandra_change import Head, Write, change, read_settled, settled_head
from storage.cassandra_session import CONFIGURING, CassandraSession

READ_EPOCHS = """SELECT epoch, topic, topic_id, partitions, started_us, start_offsets, state FROM epochs
    WHERE scope = 'all'"""
FILLING, ACTIVE, RETIRED = "filling", "active", "retired"


def epochs(session: CassandraSession) -> list[Epoch]:
    """All that were ever made, by number. Raises StoreUnavailable."""
    return read_settled(session, lambda _head: _read(session))


def active_epoch(session: CassandraSession) -> Epoch | None:
    """The one that is read; None while none was published. Raises StoreUnavailable."""
    number = settled_head(session).active_epoch
    return next((epoch for epoch in epochs(session) if epoch.number == number), None)


def create_epoch(session: CassandraSession, epoch: Epoch) -> None:
    """Keep a new one; nothing reads it yet. Raises Conflict where its number was ever used, StoreUnavailable."""

    def plan(_head: Head, _version: int) -> Sequence[Write]:
        if epoch.number < 1 or any(known.number == epoch.number for known in _read(session)):
            raise Conflict(f"epoch {epoch.number} cannot be made: numbers go up from 1 and are never used again")
        return [_write(epoch._replace(state=FILLING))]

    change(session, plan)


def publish_epoch(session: CassandraSession, number: int) -> None:
    """Let everybody read and spread over this one from now on. Raises Conflict where none is, StoreUnavailable."""

    def plan(head: Head, _version: int) -> Sequence[Write]:
        before = {epoch.number: epoch for epoch in _read(session)}
        if number not in before:
            raise Conflict(f"there is no epoch {number}; there are: {', '.join(map(str, before)) or 'none'}")
        retired = [before[head.active_epoch]._replace(state=RETIRED)] if head.active_epoch in before else []
        return [*map(_write, retired), _write(before[number]._replace(state=ACTIVE))]

    change(session, plan, active_epoch=number)


def set_partitions(session: CassandraSession, number: int, partitions: int) -> None:
    """Spread new impressions over this many shards, after the topic got as many partitions. Raises Conflict where the
    epoch is unknown or has more, StoreUnavailable."""

    def plan(_head: Head, _version: int) -> Sequence[Write]:
        known = next((epoch for epoch in _read(session) if epoch.number == number), None)
        if known is None or known.partitions > partitions:
            raise Conflict(f"epoch {number} is unknown or has more partitions than {partitions}")
        return [_write(known._replace(partitions=partitions))]

    change(session, plan)


def _read(session: CassandraSession) -> list[Epoch]:
    rows = session.run(READ_EPOCHS, (), CONFIGURING)
    return [Epoch._make((*row, _offsets(offsets), state)) for *row, offsets, state in rows]


def _offsets(text: str) -> dict[int, int]:
    return {int(partition): offset for partition, offset in orjson.loads(text).items()}


def _write(epoch: Epoch) -> Write:
    offsets = {str(partition): offset for partition, offset in epoch.start_offsets.items()}
    values = {**epoch._asdict(), "epoch": epoch.number, "start_offsets": orjson.dumps(offsets).decode()}
    del values["number"]
    return "epoch", values

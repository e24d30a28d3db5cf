"""Counts records into Cassandra as a consumer does, without a Kafka in between: their offsets are those in what was
delivered."""

import time
from collections import defaultdict
from collections.abc import Sequence

from bandit.counting import Counting, refusal
from bandit.event import BannerEvent, UndecodableEvent, decode
from storage.base import EventSink, Record, Refusal
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_session import CassandraSession


class CountingSink(EventSink):
    """One for each emptied keyspace. Before any epoch was published, number 0 is active."""

    def __init__(self, session: CassandraSession, epoch: int = 0) -> None:
        self._counting = Counting(CassandraCounting(session, epoch), time.time_ns() // 1000)
        self._offsets: dict[int, int] = {}

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        refusals: list[Refusal] = []
        taken: dict[int, list[BannerEvent]] = defaultdict(list)
        for record in records:
            event, reason = _read(record)
            if event is None:
                refusals.append(Refusal(record, reason))
            else:
                taken[record.shard].append(event)
        for shard, events in taken.items():
            self._take(shard, events)
        self._counting.settle()
        self._counting.flush()
        return refusals

    def _take(self, shard: int, events: list[BannerEvent]) -> None:
        if shard not in self._offsets:
            self._offsets[shard] = self._counting.start(shard, 0)
        first = self._offsets[shard]
        self._offsets[shard] = first + len(events)
        self._counting.take(shard, list(enumerate(events, first)), self._offsets[shard])


def _read(record: Record) -> tuple[BannerEvent | None, str]:
    try:
        event = decode(record.payload)
    except UndecodableEvent as error:
        return None, str(error)
    reason = refusal(event, record.shard)
    return (None, reason) if reason else (event, "")

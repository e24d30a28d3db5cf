"""Counts events into Cassandra by the counting rule, all in one process and each record once: for tests of reading."""

from collections import defaultdict
from collections.abc import Sequence

from bandit.event import BannerEvent, decode, increments
from bandit.model import UNKNOWN
from storage.base import EventSink, Record, Refusal
from storage.cassandra_rows import WRITE_CITY, WRITE_COUNT, WRITE_REFERRER_COUNT, click_write
from storage.cassandra_session import COUNTING, CassandraSession, Request

Totals = list[int]


class CountingSink(EventSink):
    """Starts from nothing: one for each emptied keyspace. Before any epoch was published, number 0 is active."""

    def __init__(self, session: CassandraSession, epoch: int = 0) -> None:
        self._session = session
        self._epoch = epoch
        self._offset = 0
        self._claimed: set[tuple[bytes, str]] = set()
        self._counts: dict[tuple[object, ...], Totals] = defaultdict(lambda: [0, 0, 0])
        self._by_referrer: dict[tuple[object, ...], Totals] = defaultdict(lambda: [0, 0, 0])
        self._cities: dict[tuple[object, ...], Totals] = defaultdict(lambda: [0])

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        clicks = [write for record in records for write in self._take(decode(record.payload), record.shard)]
        self._session.run_many([*clicks, *self._rows()], COUNTING)
        return []

    def _take(self, event: BannerEvent, shard: int) -> list[Request]:
        self._offset += 1
        if event.verdict != "accepted":
            return []
        first_view = event.kind != "served" and self._is_first(event, "viewed")
        first_click = event.kind == "clicked" and self._is_first(event, "clicked")
        added = increments(event, first_view=first_view, first_click=first_click)
        place = (event.tenant, event.slot, event.day, self._epoch)
        _add(self._counts[*place, event.policy, event.city, event.banner, shard], added)
        _add(self._by_referrer[*place, event.referrer or UNKNOWN, event.banner, shard], added)
        if event.unrecognised_city is not None and event.kind == "served":
            _add(self._cities[event.tenant, self._epoch, event.unrecognised_city, shard], (1,))
        return [click_write(event)] if first_click else []

    def _is_first(self, event: BannerEvent, kind: str) -> bool:
        claim = (event.impression_id, kind)
        is_first = claim not in self._claimed
        self._claimed.add(claim)
        return is_first

    def _rows(self) -> list[Request]:
        tables = ((WRITE_COUNT, self._counts), (WRITE_REFERRER_COUNT, self._by_referrer), (WRITE_CITY, self._cities))
        end = (self._offset, self._offset)
        return [(write, (*key, *totals, *end)) for write, rows in tables for key, totals in rows.items()]


def _add(totals: Totals, added: Sequence[int]) -> None:
    totals[:] = [total + more for total, more in zip(totals, added, strict=True)]

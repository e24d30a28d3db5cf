"""Segments of customers in Cassandra: written beside the old ones, then switched to by one row."""

from collections.abc import Iterable, Iterator
from itertools import islice

from bandit.model import SegmentRow
from storage.base import Store
from storage.cassandra_session import CONFIGURING, COUNTING, CassandraSession, Request

BUCKETS = 16
"""Partitions over which a tenant's customers are spread."""
PIECE = 2_000
"""Statements handed over at once."""

READ_RUN = "SELECT run FROM segmentations WHERE tenant = ?"
WRITE_RUN = "INSERT INTO segmentations (tenant, run) VALUES (?, ?)"
WRITE_MEMBER = "INSERT INTO customer_segments (tenant, run, bucket, customer, segment) VALUES (?, ?, ?, ?, ?)"
READ_MEMBERS = "SELECT customer, segment FROM customer_segments WHERE tenant = ? AND run = ? AND bucket = ?"
FORGET_MEMBERS = "DELETE FROM customer_segments WHERE tenant = ? AND run = ? AND bucket = ?"
FIND_MEMBER = READ_MEMBERS + " AND customer = ?"
FORGET_MEMBER = FORGET_MEMBERS + " AND customer = ?"
WRITE_COUNT = """INSERT INTO segment_counts (tenant, run, slot, day, segment, banner, served, viewed, clicks)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
READ_COUNTS = """SELECT day, segment, banner, served, viewed, clicks FROM segment_counts
    WHERE tenant = ? AND run = ? AND slot = ? AND day >= ? AND day <= ?"""


class SegmentTables(Store):
    """The segments' part of the store contract."""

    _session: CassandraSession

    def put_segments(
        self, tenant: str, run: int, members: Iterable[tuple[bytes, str]], counts: Iterable[tuple[str, SegmentRow]]
    ) -> None:
        before = self._run_of(tenant)
        self._write((WRITE_MEMBER, (tenant, run, _bucket(one), one, segment)) for one, segment in members)
        self._write((WRITE_COUNT, (tenant, run, slot, *row)) for slot, row in counts)
        self._session.run(WRITE_RUN, (tenant, run), CONFIGURING)
        if before not in (None, run):
            self._write((FORGET_MEMBERS, (tenant, before, bucket)) for bucket in range(BUCKETS))

    def customer_segments(self, tenant: str) -> Iterator[tuple[bytes, str]]:
        run = self._run_of(tenant)
        for bucket in range(BUCKETS if run is not None else 0):
            rows = self._session.run(READ_MEMBERS, (tenant, run, bucket), COUNTING)
            yield from ((customer, segment) for customer, segment in rows)

    def segment_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[SegmentRow]:
        run = self._run_of(tenant)
        if run is None:
            return []
        rows = self._session.run(READ_COUNTS, (tenant, run, slot, first_day, last_day), COUNTING)
        return [SegmentRow._make(row) for row in rows]

    def forget_segment(self, tenant: str, customer: bytes) -> int:
        """Take the customer out of the segments; how many rows that were."""
        run = self._run_of(tenant)
        key = (tenant, run, _bucket(customer), customer)
        if run is None or not self._session.run(FIND_MEMBER, key, COUNTING):
            return 0
        self._session.run(FORGET_MEMBER, key, CONFIGURING)
        return 1

    def _run_of(self, tenant: str) -> int | None:
        rows = self._session.run(READ_RUN, (tenant,), COUNTING)
        return int(rows[0][0]) if rows else None

    def _write(self, requests: Iterable[Request]) -> None:
        waiting = iter(requests)
        while piece := list(islice(waiting, PIECE)):
            self._session.run_many(piece, COUNTING)


def _bucket(customer: bytes) -> int:
    return customer[-1] % BUCKETS if customer else 0

"""Segments of customers in SQLite: written piece by piece beside the old ones, then switched to."""

from collections.abc import Iterable, Iterator
from itertools import islice

from bandit.model import SegmentRow
from storage.sqlite_connections import Connected

PIECE = 5_000
"""Rows in one transaction: a delivery never waits long for one."""

CURRENT = "run = (SELECT run FROM segmentations WHERE segmentations.tenant = ?)"


class SegmentTables(Connected):
    """The segments' part of the store contract."""

    def put_segments(
        self, tenant: str, run: int, members: Iterable[tuple[bytes, str]], counts: Iterable[tuple[str, SegmentRow]]
    ) -> None:
        self._insert(
            "INSERT OR REPLACE INTO customer_segments VALUES (?, ?, ?, ?)",
            ((tenant, run, customer, segment) for customer, segment in members),
        )
        self._insert(
            "INSERT OR REPLACE INTO segment_counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((tenant, run, slot, *row) for slot, row in counts),
        )
        with self._connections.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO segmentations (tenant, run) VALUES (?, ?)", (tenant, run))
            for table in ("customer_segments", "segment_counts"):
                connection.execute(f"DELETE FROM {table} WHERE tenant = ? AND run <> ?", (tenant, run))

    def customer_segments(self, tenant: str) -> Iterator[tuple[bytes, str]]:
        with self._connections.reading() as connection:
            query = f"SELECT customer, segment FROM customer_segments WHERE tenant = ? AND {CURRENT}"
            rows = connection.execute(query, (tenant, tenant)).fetchall()
        yield from rows

    def segment_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[SegmentRow]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                f"""SELECT day, segment, banner, served, viewed, clicks FROM segment_counts
                    WHERE tenant = ? AND slot = ? AND day BETWEEN ? AND ? AND {CURRENT}""",
                (tenant, slot, first_day, last_day, tenant),
            )
            return [SegmentRow._make(row) for row in rows]

    def _insert(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        waiting = iter(rows)
        while piece := list(islice(waiting, PIECE)):
            with self._connections.writing() as connection:
                connection.executemany(statement, piece)

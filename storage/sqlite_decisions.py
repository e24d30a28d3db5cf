"""What was drawn, and from what: summed up while events are delivered, and read back."""

import sqlite3
from collections import Counter
from collections.abc import Iterator

from bandit.event import BannerEvent, decode, draw
from bandit.model import SampledRow, WouldBeRow
from storage.sqlite_connections import Connected

STEP = 10_000
"""Events looked at in one read; short reads let the write-ahead log be emptied."""


class Decisions:
    """Those of one delivery."""

    def __init__(self) -> None:
        self._sampled: dict[tuple[str, str, int, str, str], list[float]] = {}
        self._would_be: Counter[tuple[str, str, int, str, str]] = Counter()

    def add(self, event: BannerEvent) -> None:
        """An impression that counts."""
        drawn = draw(event)
        if drawn is None:
            return
        place, inverse = (event.tenant, event.slot, event.day), drawn.inverse
        if event.would_be_banner is not None:
            self._would_be[(*place, event.city, event.would_be_banner)] += 1
        key = (*place, drawn.eligible, drawn.banner)
        sums = self._sampled.get(key)
        if sums is None:
            sums = self._sampled[key] = [0, 0.0, 0.0, 0.0]
        sums[0] += 1
        sums[1] += inverse
        sums[2] += inverse * inverse
        sums[3] = max(sums[3], inverse)

    def write(self, connection: sqlite3.Connection) -> None:
        """Add them to what is there, in the transaction that delivers them."""
        connection.executemany(
            """INSERT INTO sampled (tenant, slot, day, eligible, banner, decisions, inverse, squares, largest)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (tenant, slot, day, eligible, banner) DO UPDATE SET
                   decisions = decisions + excluded.decisions, inverse = inverse + excluded.inverse,
                   squares = squares + excluded.squares, largest = max(largest, excluded.largest)""",
            [(*key, *sums) for key, sums in self._sampled.items()],
        )
        connection.executemany(
            """INSERT INTO would_be (tenant, slot, day, city, banner, decisions) VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT (tenant, slot, day, city, banner) DO UPDATE SET
                   decisions = decisions + excluded.decisions""",
            [(*key, decisions) for key, decisions in self._would_be.items()],
        )


class DecisionTables(Connected):
    """The reading side."""

    def sampled(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[SampledRow]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                """SELECT day, eligible, banner, decisions, inverse, squares, largest FROM sampled
                   WHERE tenant = ? AND slot = ? AND day BETWEEN ? AND ?""",
                (tenant, slot, first_day, last_day),
            )
            return [SampledRow._make(row) for row in rows]

    def would_be(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[WouldBeRow]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                """SELECT day, city, banner, decisions FROM would_be
                   WHERE tenant = ? AND slot = ? AND day BETWEEN ? AND ?""",
                (tenant, slot, first_day, last_day),
            )
            return [WouldBeRow._make(row) for row in rows]

    def events(self, tenant: str, slot: str, first_day: int, last_day: int) -> Iterator[BannerEvent]:
        """The raw events, as long as they are kept, of impressions of these days, in the order they came in."""
        with self._connections.reading() as connection:
            query = "SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM events"
            first, last = connection.execute(query).fetchone()
        for start in range(first, last + 1, STEP):
            with self._connections.reading() as connection:
                query = "SELECT payload FROM events WHERE id >= ? AND id < ? AND tenant = ? ORDER BY id"
                found = connection.execute(query, (start, start + STEP, tenant)).fetchall()
            for (payload,) in found:
                event = decode(payload)
                if event.slot == slot and first_day <= event.day <= last_day:
                    yield event

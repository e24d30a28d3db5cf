"""What a recount of the embedded store reads, and how it corrects it."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from bandit.event import decode
from bandit.model import IMPORTED_SHARD
from storage.archive import Stored
from storage.sqlite_connections import Connected

Counted = tuple[int, int, int]
"""Served, viewed, clicks."""


class CellKey(NamedTuple):
    """A row of counts."""

    tenant: str
    slot: str
    day: int
    policy: str
    city: str
    banner: str
    shard: int


class ReferrerKey(NamedTuple):
    """A row of counts by referrer."""

    tenant: str
    slot: str
    day: int
    referrer: str
    banner: str
    shard: int


class Counts(NamedTuple):
    """All that was counted from the log up to one event, imported counts left out."""

    last_event: int
    cells: Mapping[CellKey, Counted]
    referrers: Mapping[ReferrerKey, Counted]
    names: Sequence[tuple[str, str]]
    """(tenant, referrer) of those counted by name."""


class RawEvents(Connected):
    """For the archive and the recount; only this back end has it."""

    def first_and_last_event(self) -> tuple[int, int, int]:
        """(highest id that was pruned, lowest and highest id there is); 0 where there is none."""
        with self._connections.reading() as connection:
            query = """SELECT (SELECT value FROM meta WHERE name = 'pruned_event'), coalesce(min(id), 0),
                coalesce(max(id), 0) FROM events"""
            pruned, first, last = connection.execute(query).fetchone()
        return pruned, first, last

    def events_between(self, first: int, last: int) -> list[Stored]:
        """The events of these ids, both included, in the order in which they were counted."""
        with self._connections.reading() as connection:
            query = "SELECT id, payload FROM events WHERE id BETWEEN ? AND ? ORDER BY id"
            return [Stored(number, decode(payload)) for number, payload in connection.execute(query, (first, last))]

    def everything_counted(self) -> Counts:
        """All counts as of one moment."""
        with self._connections.reading() as connection:
            (last,) = connection.execute(
                """SELECT max((SELECT coalesce(max(id), 0) FROM events),
                    (SELECT value FROM meta WHERE name = 'pruned_event'))"""
            ).fetchone()
            names = connection.execute("SELECT tenant, referrer FROM referrers").fetchall()
            cells = _rows(connection, "counts", CellKey._fields)
            referrers = _rows(connection, "counts_by_referrer", ReferrerKey._fields)
        return Counts(
            last,
            {CellKey._make(row[:-3]): row[-3:] for row in cells},
            {ReferrerKey._make(row[:-3]): row[-3:] for row in referrers},
            names,
        )

    def correct(self, cells: Mapping[CellKey, Counted], referrers: Mapping[ReferrerKey, Counted]) -> None:
        """Add these differences, which may be negative, to what is counted by now; all or nothing."""
        with self._connections.writing() as connection:
            _add(connection, "counts", CellKey._fields, cells)
            _add(connection, "counts_by_referrer", ReferrerKey._fields, referrers)
            _sum_days_again(connection, {key[:3] for key in cells})
            (latest,) = connection.execute("SELECT coalesce(max(revision), 0) FROM changed").fetchone()
            connection.executemany(
                """INSERT INTO changed (tenant, slot, day, revision) VALUES (?, ?, ?, ?)
                   ON CONFLICT (tenant, slot, day) DO UPDATE SET revision = excluded.revision""",
                [(*partition, latest + 1) for partition in {key[:3] for key in (*cells, *referrers)}],
            )


def _sum_days_again(connection: sqlite3.Connection, days: Collection[tuple[str, str, int]]) -> None:
    """From their cells, since these may have been changed by hand."""
    here = "tenant = ? AND slot = ? AND day = ?"
    connection.executemany(f"DELETE FROM daily_counts WHERE {here}", days)
    connection.executemany(
        f"""INSERT INTO daily_counts SELECT tenant, slot, day, policy, banner, sum(served), sum(viewed), sum(clicks)
            FROM counts WHERE {here} GROUP BY policy, banner""",
        days,
    )


def _rows(connection: sqlite3.Connection, table: str, key: Sequence[str]) -> list[tuple[Any, ...]]:
    query = f"SELECT {', '.join(key)}, served, viewed, clicks FROM {table} WHERE epoch = 0 AND shard <> ?"
    return connection.execute(query, (IMPORTED_SHARD,)).fetchall()


def _add(
    connection: sqlite3.Connection,
    table: str,
    key: Sequence[str],
    added: Mapping[CellKey, Counted] | Mapping[ReferrerKey, Counted],
) -> None:
    names, values = ", ".join(key), ", ".join("?" * len(key))
    connection.executemany(
        f"""INSERT INTO {table} (epoch, {names}, served, viewed, clicks) VALUES (0, {values}, ?, ?, ?)
            ON CONFLICT (epoch, {names}) DO UPDATE SET served = served + excluded.served,
                viewed = viewed + excluded.viewed, clicks = clicks + excluded.clicks""",
        [(*one, *numbers) for one, numbers in added.items()],
    )
    connection.execute(f"DELETE FROM {table} WHERE epoch = 0 AND served = 0 AND viewed = 0 AND clicks = 0")

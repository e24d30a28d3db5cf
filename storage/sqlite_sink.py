"""Where journaled records become counts, clicks and raw events: one transaction a delivery, hence exactly once."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from bandit.event import BannerEvent, Increments, UndecodableEvent, decode, increments
from bandit.model import MAX_REFERRERS, OTHER, UNKNOWN, Kind, Verdict
from bandit.received import Received
from storage import sqlite_positions
from storage.base import Record, Refusal
from storage.sqlite_connections import Connected
from storage.sqlite_decisions import Decisions

MAX_UNRECOGNISED_CITIES = 1000
"""Names kept for one tenant; the rarest go first."""

VIEW, CLICK = 1, 2

# Looking an enum's member up takes longer in Python 3.11 than comparing it, and this happens for every record.
ACCEPTED, SERVED, VIEWED = Verdict.ACCEPTED.value, Kind.SERVED.value, Kind.VIEWED.value

Totals = list[int]
"""Served, viewed, clicks."""

Cell = TypeVar("Cell", bound=tuple[object, ...])


class EventTables(Connected):
    """The sink contract."""

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        with self._connections.writing() as connection:
            delivery = Delivery(connection)
            reasons = [(record, delivery.take(record)) for record in records]
            delivery.write()
        return [Refusal(record, reason) for record, reason in reasons if reason is not None]


class Delivery:
    """One delivery: what the store said before, and what is to be added to it.

    Nothing in here outlives the transaction, so a transaction that is rolled back leaves nothing remembered wrongly.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        query = "SELECT value FROM meta WHERE name = 'claims_before'"
        self._claims_before: int = connection.execute(query).fetchone()[0]
        self._received: dict[tuple[int, int], Received] = {}
        self._referrers: dict[str, set[str]] = {}
        self._counts: dict[tuple[str, str, int, str, str, str, int], Totals] = {}
        self._referrer_counts: dict[tuple[str, str, int, str, str, int], Totals] = {}
        self._decisions = Decisions()
        self._unrecognised: Counter[tuple[str, str]] = Counter()
        self._clicks: list[tuple[object, ...]] = []
        self._events: list[tuple[int, str, bytes | None, bytes]] = []

    def take(self, record: Record) -> str | None:
        """Add one record, unless it was taken before; why it never can be, if so."""
        try:
            event = decode(record.payload)
        except UndecodableEvent as error:
            return str(error)
        if event.journal < 1 or event.sequence < 1:
            return "the event lacks the journal id and sequence that tell it from a repetition"
        if event.served_at < self._claims_before and self._needs_lost_claim(record.shard, event):
            return "the impression is so old that a repeated view or click could not be told from a first one"
        if self._received_from(record.shard, event).take(event.sequence):
            self._events.append((event.received_at, event.tenant, event.customer, record.payload))
            if event.verdict == ACCEPTED:
                self._count(record.shard, event)
        return None

    def write(self) -> None:
        """Everything that `take` collected."""
        self._write_counts()
        self._write_changes()
        self._write_unrecognised()
        self._decisions.write(self._connection)
        many = self._connection.executemany
        many(
            "INSERT INTO events (id, received_at, tenant, customer, payload) VALUES (?, ?, ?, ?, ?)",
            [(number, *event) for number, event in enumerate(self._events, self._next_event())],
        )
        # A claim that somebody else removed must not stop the drain: the first click stays.
        many(
            """INSERT OR IGNORE INTO clicks (impression_id, tenant, city, day, received_at, served_at, slot, banner,
                   customer, referrer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            self._clicks,
        )
        for (journal, shard), received in self._received.items():
            sqlite_positions.save(self._connection, journal, shard, received)

    def _next_event(self) -> int:
        """An id that no event ever had."""
        query = """SELECT max((SELECT coalesce(max(id), 0) FROM events),
            (SELECT value FROM meta WHERE name = 'pruned_event')) + 1"""
        return int(self._connection.execute(query).fetchone()[0])

    def _needs_lost_claim(self, shard: int, event: BannerEvent) -> bool:
        """Its claim may have been pruned; a record that was taken before needs none."""
        if event.kind == SERVED or event.verdict != ACCEPTED:
            return False
        return not self._received_from(shard, event).has(event.sequence)

    def _received_from(self, shard: int, event: BannerEvent) -> Received:
        key = (event.journal, shard)
        received = self._received.get(key)
        if received is None:
            received = self._received[key] = sqlite_positions.load(self._connection, *key)
        return received

    def _count(self, shard: int, event: BannerEvent) -> None:
        first_view, first_click = self._claim(event)
        added = increments(event, first_view=first_view, first_click=first_click)
        if not any(added):
            return
        if added.served:
            self._decisions.add(event)
        tenant, slot, banner, day = event.tenant, event.slot, event.banner, event.day
        _add(self._counts, (tenant, slot, day, event.policy, event.city, banner, shard), added)
        referrer = self._counted_referrer(tenant, event.referrer)
        _add(self._referrer_counts, (tenant, slot, day, referrer, banner, shard), added)
        if first_click:
            self._keep_click(event)
        if event.unrecognised_city is not None and added.served:
            self._unrecognised[(tenant, event.unrecognised_city)] += 1

    def _claim(self, event: BannerEvent) -> tuple[bool, bool]:
        """Whether this is the impression's first view, and its first click."""
        if event.kind == SERVED:
            return False, False
        if event.kind == VIEWED:
            return self._is_first(event.impression_id, VIEW), False
        first_click = self._is_first(event.impression_id, CLICK)
        return first_click and self._is_first(event.impression_id, VIEW), first_click

    def _is_first(self, impression_id: bytes, kind: int) -> bool:
        claim = self._connection.execute(
            "INSERT OR IGNORE INTO claims (impression_id, kind) VALUES (?, ?)", (impression_id, kind)
        )
        return claim.rowcount == 1

    def _keep_click(self, event: BannerEvent) -> None:
        place = (event.impression_id, event.tenant, event.city, event.day, event.received_at, event.served_at)
        self._clicks.append((*place, event.slot, event.banner, event.customer, event.referrer))

    def _counted_referrer(self, tenant: str, referrer: str | None) -> str:
        """The name it is counted by. Once a name, always that name, so clicks <= served by referrer too."""
        if referrer is None:
            return UNKNOWN
        known = self._referrers.get(tenant)
        if known is None:
            rows = self._connection.execute("SELECT referrer FROM referrers WHERE tenant = ?", (tenant,))
            known = self._referrers[tenant] = {row[0] for row in rows}
        if referrer in known:
            return referrer
        if len(known) >= MAX_REFERRERS:
            return OTHER
        known.add(referrer)
        self._connection.execute("INSERT INTO referrers (tenant, referrer) VALUES (?, ?)", (tenant, referrer))
        return referrer

    def _write_counts(self) -> None:
        add = "DO UPDATE SET served = served + excluded.served, viewed = viewed + excluded.viewed, "
        add += "clicks = clicks + excluded.clicks"
        self._connection.executemany(
            f"""INSERT INTO counts (tenant, slot, day, epoch, policy, city, banner, shard, served, viewed, clicks)
                VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (tenant, slot, day, epoch, policy, city, banner, shard) {add}""",
            [(*cell, *totals) for cell, totals in self._counts.items()],
        )
        days: dict[tuple[str, str, int, str, str], Totals] = {}
        for (tenant, slot, day, policy, _, banner, _), totals in self._counts.items():
            _add(days, (tenant, slot, day, policy, banner), Increments(*totals))
        self._connection.executemany(
            f"""INSERT INTO daily_counts (tenant, slot, day, policy, banner, served, viewed, clicks)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, slot, day, policy, banner) {add}""",
            [(*key, *totals) for key, totals in days.items()],
        )
        self._connection.executemany(
            f"""INSERT INTO counts_by_referrer (tenant, slot, day, epoch, referrer, banner, shard, served, viewed,
                    clicks) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (tenant, slot, day, epoch, referrer, banner, shard) {add}""",
            [(*cell, *totals) for cell, totals in self._referrer_counts.items()],
        )

    def _write_changes(self) -> None:
        (latest,) = self._connection.execute("SELECT coalesce(max(revision), 0) FROM changed").fetchone()
        self._connection.executemany(
            """INSERT INTO changed (tenant, slot, day, revision) VALUES (?, ?, ?, ?)
               ON CONFLICT (tenant, slot, day) DO UPDATE SET revision = excluded.revision""",
            [(*partition, latest + 1) for partition in {cell[:3] for cell in self._counts}],
        )

    def _write_unrecognised(self) -> None:
        self._connection.executemany(
            """INSERT INTO unrecognised_cities (tenant, name, impressions) VALUES (?, ?, ?)
               ON CONFLICT (tenant, name) DO UPDATE SET impressions = impressions + excluded.impressions""",
            [(tenant, name, impressions) for (tenant, name), impressions in self._unrecognised.items()],
        )
        for tenant in {tenant for tenant, _ in self._unrecognised}:
            _drop_rarest_cities(self._connection, tenant)


def _add(cells: dict[Cell, Totals], cell: Cell, added: Increments) -> None:
    totals = cells.get(cell)
    if totals is None:
        cells[cell] = list(added)
        return
    totals[0] += added.served
    totals[1] += added.viewed
    totals[2] += added.clicks


def _drop_rarest_cities(connection: sqlite3.Connection, tenant: str) -> None:
    names = connection.execute("SELECT count(*) FROM unrecognised_cities WHERE tenant = ?", (tenant,)).fetchone()[0]
    if names > MAX_UNRECOGNISED_CITIES:
        connection.execute(
            """DELETE FROM unrecognised_cities WHERE tenant = ? AND name IN (
                   SELECT name FROM unrecognised_cities WHERE tenant = ? ORDER BY impressions, name LIMIT ?)""",
            (tenant, tenant, names - MAX_UNRECOGNISED_CITIES),
        )

"""What was counted, read back from SQLite."""

from bandit.model import ALL_CITIES, ClickRow, CountRow, ReferrerRow
from storage.base import Changes
from storage.sqlite_connections import Connected
from storage.sums import sum_shards


class CountTables(Connected):
    """The reading half of the store contract."""

    def counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                """SELECT day, policy, city, banner, served, viewed, clicks FROM counts
                   WHERE tenant = ? AND slot = ? AND day BETWEEN ? AND ? AND epoch = 0""",
                (tenant, slot, first_day, last_day),
            )
            return [CountRow._make(row) for row in sum_shards(rows)]

    def daily_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                """SELECT day, policy, ?, banner, served, viewed, clicks FROM daily_counts
                   WHERE tenant = ? AND slot = ? AND day BETWEEN ? AND ?""",
                (ALL_CITIES, tenant, slot, first_day, last_day),
            )
            return [CountRow._make(row) for row in rows]

    def referrer_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[ReferrerRow]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                """SELECT day, referrer, banner, served, viewed, clicks FROM counts_by_referrer
                   WHERE tenant = ? AND slot = ? AND day BETWEEN ? AND ? AND epoch = 0""",
                (tenant, slot, first_day, last_day),
            )
            return [ReferrerRow._make(row) for row in sum_shards(rows)]

    def changes(self, cursor: int) -> Changes:
        with self._connections.reading() as connection:
            (latest,) = connection.execute("SELECT coalesce(max(revision), 0) FROM changed").fetchone()
            rows = connection.execute("SELECT tenant, slot, day FROM changed WHERE revision > ?", (cursor,))
            partitions = frozenset(rows.fetchall())
        # A cursor from the future: the store was replaced by a backup, so anything may differ.
        return Changes(latest, partitions if cursor <= latest else None)

    def clicks(self, tenant: str, city: str, day: int, *, limit: int | None = None) -> list[ClickRow]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                """SELECT received_at, served_at, impression_id, slot, city, banner, customer, referrer FROM clicks
                   WHERE tenant = ? AND city = ? AND day = ? ORDER BY received_at DESC, impression_id DESC LIMIT ?""",
                (tenant, city, day, -1 if limit is None else limit),
            )
            return [ClickRow._make(row) for row in rows][::-1]

    def unrecognised_cities(self, tenant: str) -> list[tuple[str, int]]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                "SELECT name, impressions FROM unrecognised_cities WHERE tenant = ? ORDER BY impressions DESC, name",
                (tenant,),
            )
            return [(name, impressions) for name, impressions in rows]

"""What was counted, read back from Cassandra, and the clicks."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from bandit.model import ALL_CITIES, ClickRow, CountRow, ReferrerRow, SampledRow, WouldBeRow
from storage.base import Changes, Store
from storage.cassandra_change import settled_head
from storage.cassandra_clicks import BUCKETS
from storage.cassandra_session import CONFIGURING, COUNTING, CassandraSession, Request, Row
from storage.sums import sum_shards

READ_COUNTS = """SELECT day, policy, city, banner, served, viewed, clicks FROM counts
    WHERE tenant = ? AND slot = ? AND day IN ? AND epoch = ?"""
READ_DAILY_COUNTS = READ_COUNTS.replace(" city,", "")
READ_REFERRER_COUNTS = """SELECT day, referrer, banner, served, viewed, clicks FROM counts_by_referrer
    WHERE tenant = ? AND slot = ? AND day IN ? AND epoch = ?"""
READ_SAMPLED = """SELECT day, eligible, banner, decisions, inverse, squares, largest FROM sampled
    WHERE tenant = ? AND slot = ? AND day IN ? AND epoch = ?"""
READ_WOULD_BE = """SELECT day, city, banner, decisions FROM would_be
    WHERE tenant = ? AND slot = ? AND day IN ? AND epoch = ?"""
READ_CLICKS = """SELECT received_at, served_at, impression_id, slot, city, banner, customer, referrer
    FROM clicks_by_city WHERE tenant = ? AND city = ? AND day = ? AND bucket = ?
    ORDER BY received_at DESC, impression_id DESC LIMIT ?"""
READ_CITIES = "SELECT name, impressions FROM unrecognised_cities WHERE tenant = ? AND epoch = ?"
READ_RETIRED = "SELECT tenant FROM retired WHERE tenant = ? AND slot = ? AND banner = ?"
FIND_SLOT = "SELECT day FROM counts WHERE tenant = ? AND slot = ? AND day IN ? AND epoch = ? LIMIT 1"
FIND_BANNER = """SELECT day FROM counts WHERE tenant = ? AND slot = ? AND day IN ? AND epoch = ? AND banner = ?
    LIMIT 1 ALLOW FILTERING"""
# These two look at every partition there is, in slices that each end soon: nothing leads from a tenant to its days.
FIND_TENANT = """SELECT tenant FROM counts WHERE token(tenant, slot, day, epoch) > ?
    AND token(tenant, slot, day, epoch) <= ? AND tenant = ? PER PARTITION LIMIT 1 LIMIT 1 ALLOW FILTERING"""
FIND_CUSTOMER = """SELECT city, day, bucket, received_at, impression_id FROM clicks_by_city
    WHERE token(tenant, city, day, bucket) > ? AND token(tenant, city, day, bucket) <= ?
    AND tenant = ? AND customer = ? ALLOW FILTERING"""
ERASE_CUSTOMER = """UPDATE clicks_by_city SET customer = null
    WHERE tenant = ? AND city = ? AND day = ? AND bucket = ? AND received_at = ? AND impression_id = ?"""

DAYS_AT_ONCE = 30
"""Partitions that one statement reads."""
FIRST_DAY = 20_089
"""2025-01-01: before the first release, so nothing was counted earlier."""
DAY_SECONDS = 86_400
SLICES = 256
LOWEST_TOKEN, TOKENS = -(2**63), 2**64
ALL_ROWS = 2**31 - 1


class CountTables(Store):
    """The reading half of the store contract."""

    _session: CassandraSession
    _epoch: int | None
    _reading: str

    def counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        return [CountRow._make(row) for row in self._summed(READ_COUNTS, tenant, slot, first_day, last_day)]

    def daily_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        rows = self._summed(READ_DAILY_COUNTS, tenant, slot, first_day, last_day)
        return [CountRow(day, policy, ALL_CITIES, *counted) for day, policy, *counted in rows]

    def referrer_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[ReferrerRow]:
        return [ReferrerRow._make(row) for row in self._summed(READ_REFERRER_COUNTS, tenant, slot, first_day, last_day)]

    def sampled(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[SampledRow]:
        """One for each shard: who reads them sums them up."""
        rows = self._by_days(READ_SAMPLED, tenant, slot, first_day, last_day)
        return [SampledRow._make(row) for several in rows for row in several]

    def would_be(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[WouldBeRow]:
        rows = self._by_days(READ_WOULD_BE, tenant, slot, first_day, last_day)
        return [WouldBeRow._make(row) for several in rows for row in several]

    def changes(self, cursor: int) -> Changes:  # noqa: ARG002
        """It cannot tell: the consumers that write are not asked to keep a list. The cursor is the epoch."""
        return Changes(self._active_epoch(), None)

    def clicks(self, tenant: str, city: str, day: int, *, limit: int | None = None) -> list[ClickRow]:
        most = ALL_ROWS if limit is None else limit
        if not most:
            return []
        requests = [(READ_CLICKS, (tenant, city, day, bucket, most)) for bucket in range(BUCKETS)]
        answers = self._session.run_many(requests, self._reading)
        rows = sorted((ClickRow._make(row) for rows in answers for row in rows), key=lambda row: (row[0], row[2]))
        return rows[-most:]

    def unrecognised_cities(self, tenant: str) -> list[tuple[str, int]]:
        impressions: Counter[str] = Counter()
        for name, number in self._session.run(READ_CITIES, (tenant, self._active_epoch()), self._reading):
            impressions[name] += number
        return sorted(impressions.items(), key=lambda one: (-one[1], one[0]))

    def tenant_was_used(self, tenant: str) -> bool:
        return self._is_retired(tenant) or self._finds(slices(FIND_TENANT, tenant))

    def slot_was_used(self, tenant: str, slot: str) -> bool:
        days = _chunks(FIRST_DAY, _today() + 1)
        requests: list[Request] = [(FIND_SLOT, (tenant, slot, some, self._active_epoch())) for some in days]
        return self._is_retired(tenant, slot) or self._finds(requests)

    def banner_was_used(self, tenant: str, slot: str, banner: str) -> bool:
        days = _chunks(FIRST_DAY, _today() + 1)
        requests: list[Request] = [(FIND_BANNER, (tenant, slot, some, self._active_epoch(), banner)) for some in days]
        return self._is_retired(tenant, slot, banner) or self._finds(requests)

    def forget_customer(self, tenant: str, customer: bytes) -> int:
        answers = self._session.run_many(slices(FIND_CUSTOMER, tenant, customer), COUNTING)
        found = [row for rows in answers for row in rows]
        self._session.run_many([(ERASE_CUSTOMER, (tenant, *row)) for row in found], CONFIGURING)
        return len(found)

    def oldest(self) -> tuple[int | None, int | None]:
        return None, None

    def prune(self, *, events_before: int, claims_before: int, limit: int) -> int:  # noqa: ARG002
        """Nothing: events are kept in the archive, and claims end by themselves."""
        return 0

    def _summed(self, statement: str, tenant: str, slot: str, first_day: int, last_day: int) -> Iterator[Row]:
        for rows in self._by_days(statement, tenant, slot, first_day, last_day):
            yield from sum_shards(rows)

    def _by_days(self, statement: str, tenant: str, slot: str, first_day: int, last_day: int) -> list[list[Row]]:
        """Rows of the same day are in the same list."""
        epoch = self._active_epoch()
        requests = [(statement, (tenant, slot, days, epoch)) for days in _chunks(first_day, last_day)]
        return self._session.run_many(requests, self._reading)

    def _active_epoch(self) -> int:
        if self._epoch is None:
            self._epoch = settled_head(self._session).active_epoch
        return self._epoch

    def _is_retired(self, tenant: str, slot: str = "", banner: str = "") -> bool:
        return bool(self._session.run(READ_RETIRED, (tenant, slot, banner), CONFIGURING))

    def _finds(self, requests: list[Request]) -> bool:
        return any(self._session.run_many(requests, COUNTING))


def _chunks(first_day: int, last_day: int) -> list[list[int]]:
    """These days, both included, in lists that one statement can read."""
    days = list(range(first_day, last_day + 1))
    return [days[start : start + DAYS_AT_ONCE] for start in range(0, len(days), DAYS_AT_ONCE)]


def slices(statement: str, *parameters: object) -> list[Request]:
    """The statement for each part of all tokens."""
    edges = [LOWEST_TOKEN + TOKENS * number // SLICES for number in range(SLICES + 1)]
    edges[-1] -= 1
    return [(statement, (low, high, *parameters)) for low, high in pairwise(edges)]


def _today() -> int:
    """Of the zone that is ahead of all others, at most one day too late."""
    return int(time.time()) // DAY_SECONDS + 1

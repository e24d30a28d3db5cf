"""Puts what another store counted into Cassandra: in a shard of its own, which no log owns and every recount keeps."""

from collections.abc import Iterable

from bandit.counting_store import (
    Cell,
    CityName,
    Claim,
    Count,
    CountWrite,
    Key,
    ReferrerCell,
    Sampled,
    SampledSet,
    Value,
    WouldBe,
)
from bandit.event import BannerEvent
from bandit.model import IMPORTED_SHARD, ClickRow, CountRow, Kind, Policy, ReferrerRow, SampledRow, Verdict, WouldBeRow
from storage.cassandra_change import Write, change
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_session import CassandraSession

BEFORE_ALL = -1
"""The offset of a claim that every record of the log loses to."""


class CassandraImport:
    """Of one tenant into one epoch; may be repeated. Every method raises StoreUnavailable."""

    def __init__(self, session: CassandraSession, epoch: int, tenant: str, stamp_us: int) -> None:
        """`stamp_us` is now: of two imports the later one holds."""
        self._session = session
        self._counting = CassandraCounting(session, epoch)
        self._tenant = tenant
        self._stamp_us = stamp_us

    def counts(self, slot: str, rows: Iterable[CountRow]) -> None:
        """All counts of a slot."""
        self.rows(
            (
                Cell(self._tenant, slot, row.day, row.policy, row.city, row.banner),
                Count(row.served, row.viewed, row.clicks, BEFORE_ALL),
            )
            for row in rows
        )

    def referrer_counts(self, slot: str, rows: Iterable[ReferrerRow]) -> None:
        """The same by referrer."""
        self.rows(
            (
                ReferrerCell(self._tenant, slot, row.day, row.referrer, row.banner),
                Count(row.served, row.viewed, row.clicks, BEFORE_ALL),
            )
            for row in rows
        )

    def draws(self, slot: str, sampled: Iterable[SampledRow], would_be: Iterable[WouldBeRow]) -> None:
        """What was drawn, and from what."""
        self.rows(
            (
                SampledSet(self._tenant, slot, row.day, row.eligible, row.banner),
                Sampled(row.decisions, row.inverse, row.squares, row.largest, BEFORE_ALL),
            )
            for row in sampled
        )
        self.rows(
            (WouldBe(self._tenant, slot, row.day, row.city, row.banner), Count(row.decisions, 0, 0, BEFORE_ALL))
            for row in would_be
        )

    def unrecognised_cities(self, names: Iterable[tuple[str, int]]) -> None:
        """Names with their impressions."""
        self.rows((CityName(self._tenant, name), Count(impressions, 0, 0, BEFORE_ALL)) for name, impressions in names)

    def clicks(self, clicks: Iterable[tuple[int, ClickRow]]) -> None:
        """(day, click) pairs."""
        self._counting.write([], [], [_event(self._tenant, day, click) for day, click in clicks])

    def claims(self, claims: Iterable[tuple[bytes, str]]) -> None:
        """(impression id, kind) of what is counted already: when it comes again, it is a repetition."""
        self._counting.claim([Claim(impression_id, kind, BEFORE_ALL) for impression_id, kind in claims])

    def retired(self, ids: Iterable[tuple[str, str]]) -> None:
        """(slot, banner) ids that must not be used again."""
        writes: list[Write] = [("retired", {"tenant": self._tenant, "slot": slot, "banner": one}) for slot, one in ids]
        change(self._session, lambda _head, _version: writes)

    def rows(self, rows: Iterable[tuple[Key, Value]]) -> None:
        """Rows as they are stored, of any tenant."""
        writes = [CountWrite(IMPORTED_SHARD, key, value, self._stamp_us) for key, value in rows]
        self._counting.write(writes, [], [])


def _event(tenant: str, day: int, click: ClickRow) -> BannerEvent:
    """What is kept of a click; the rest is not known any more, and not stored."""
    return BannerEvent(
        Kind.CLICKED.value,
        click.impression_id,
        tenant,
        click.slot,
        click.city,
        click.banner,
        Policy.LEARNED.value,
        day,
        click.served_at,
        click.received_at,
        0.0,
        "",
        Verdict.ACCEPTED.value,
        click.customer,
        click.referrer,
    )

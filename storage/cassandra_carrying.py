"""What one epoch holds, and its way into another that counts another log: there it is as if imported, so every recount
keeps it."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bandit.counting_store import (
    Cell,
    CityName,
    Count,
    Key,
    Progress,
    ProgressWrite,
    ReferrerCell,
    Sampled,
    SampledSet,
    WouldBe,
)
from bandit.model import IMPORTED_SHARD, Epoch
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_counts import slices
from storage.cassandra_import import BEFORE_ALL, CassandraImport
from storage.cassandra_session import COUNTING, CassandraSession, Row
from storage.sums import sum_shards

FIND_HELD = """SELECT day, shard, served FROM counts WHERE token(tenant, slot, day, epoch) > ?
    AND token(tenant, slot, day, epoch) <= ? AND epoch = ? ALLOW FILTERING"""
FIND_COUNTS = """SELECT tenant, slot, day, policy, city, banner, served, viewed, clicks FROM counts
    WHERE token(tenant, slot, day, epoch) > ? AND token(tenant, slot, day, epoch) <= ? AND epoch = ? ALLOW FILTERING"""
FIND_REFERRERS = """SELECT tenant, slot, day, referrer, banner, served, viewed, clicks FROM counts_by_referrer
    WHERE token(tenant, slot, day, epoch) > ? AND token(tenant, slot, day, epoch) <= ? AND epoch = ? ALLOW FILTERING"""
FIND_WOULD_BE = """SELECT tenant, slot, day, city, banner, decisions FROM would_be
    WHERE token(tenant, slot, day, epoch) > ? AND token(tenant, slot, day, epoch) <= ? AND epoch = ? ALLOW FILTERING"""
FIND_SAMPLED = """SELECT tenant, slot, day, eligible, banner, decisions, inverse, squares, largest FROM sampled
    WHERE token(tenant, slot, day, epoch) > ? AND token(tenant, slot, day, epoch) <= ? AND epoch = ? ALLOW FILTERING"""
FIND_CITIES = """SELECT tenant, name, impressions FROM unrecognised_cities
    WHERE token(tenant, epoch) > ? AND token(tenant, epoch) <= ? AND epoch = ? ALLOW FILTERING"""
FIND_CLAIMS = """SELECT impression_id, kind FROM claims WHERE token(impression_id, kind) > ?
    AND token(impression_id, kind) <= ? AND epoch = ? ALLOW FILTERING"""

COUNTED: tuple[tuple[str, Callable[..., Key], int], ...] = (
    (FIND_COUNTS, Cell, 6),
    (FIND_REFERRERS, ReferrerCell, 5),
    (FIND_WOULD_BE, WouldBe, 5),
    (FIND_CITIES, CityName, 2),
)
"""Statement, what its rows are, and how many of their columns are the key; the others are numbers to add up."""


@dataclass
class Held:
    """Impressions that are counted in an epoch."""

    by_day: Counter[int] = field(default_factory=Counter)
    imported: Counter[int] = field(default_factory=Counter)
    """Those of them that were counted elsewhere."""


def held(session: CassandraSession, epoch: int) -> Held:
    """Raises StoreUnavailable."""
    found = Held()
    for rows in _pieces(session, FIND_HELD, epoch):
        for day, shard, served in rows:
            found.by_day[day] += served
            if shard == IMPORTED_SHARD:
                found.imported[day] += served
    return found


def carry(session: CassandraSession, live: Epoch, into: Epoch) -> None:
    """All counts and claims, and what was received; of an epoch that nobody counts any more. May be repeated, until
    somebody counts the new one. Raises StoreUnavailable."""
    imported = CassandraImport(session, into.number, "", time.time_ns() // 1000)
    for statement, kind, keys in COUNTED:
        for rows in _pieces(session, statement, live.number):
            sums = sum_shards((*row, 0, 0)[: keys + 3] for row in rows)
            imported.rows((kind(*row[:keys]), Count._make((*row[keys:], BEFORE_ALL))) for row in sums)
    for rows in _pieces(session, FIND_SAMPLED, live.number):
        imported.rows(_sum_sampled(rows).items())
    for rows in _pieces(session, FIND_CLAIMS, live.number):
        imported.claims(set(rows))
    _carry_received(session, live, into)


def _carry_received(session: CassandraSession, live: Epoch, into: Epoch) -> None:
    """A drain that was not answered any more delivers into the new log what the old one has."""
    old, new = (CassandraCounting(session, epoch.number) for epoch in (live, into))
    progress = {shard: old.progress(shard) for shard in range(min(live.partitions, into.partitions))}
    starts = into.start_offsets
    new.write_progress(
        [
            ProgressWrite(shard, Progress(starts[shard], one.journals), into.started_us + starts[shard] - 1)
            for shard, one in progress.items()
            if one is not None
        ]
    )


def _sum_sampled(rows: list[Row]) -> Mapping[SampledSet, Sampled]:
    found: dict[SampledSet, Sampled] = defaultdict(lambda: Sampled(0, 0.0, 0.0, 0.0, BEFORE_ALL))
    for tenant, slot, day, eligible, banner, decisions, inverse, squares, largest in rows:
        key = SampledSet(tenant, slot, day, eligible, banner)
        one = found[key]
        found[key] = Sampled(
            one.decisions + decisions,
            one.inverse + inverse,
            one.squares + squares,
            max(one.largest, largest),
            BEFORE_ALL,
        )
    return found


def _pieces(session: CassandraSession, statement: str, epoch: int) -> Iterator[list[Row]]:
    """All it finds, partition by partition, in pieces that fit into memory."""
    for request in slices(statement, epoch):
        yield from session.run_many([request], COUNTING)

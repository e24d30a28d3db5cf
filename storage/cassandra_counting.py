"""What the consumers of one epoch read and write in Cassandra, each statement at LOCAL_QUORUM and safe to repeat."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from bandit.counting_store import (
    Cell,
    CityName,
    Claim,
    Count,
    CountWrite,
    Key,
    NameWrite,
    Progress,
    ProgressWrite,
    ReferrerCell,
    Sampled,
    SampledSet,
    Value,
    WouldBe,
)
from bandit.event import BannerEvent
from bandit.received import JournalRanges
from storage.cassandra_clicks import click_bucket
from storage.cassandra_session import COUNTING, CassandraSession, Request, Row, Together

READ_PROGRESS = "SELECT next_offset, received FROM progress WHERE epoch = ? AND shard = ?"
WRITE_PROGRESS = "INSERT INTO progress (epoch, shard, next_offset, received) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"

CLAIM = "INSERT INTO claims (impression_id, kind, epoch, log_offset) VALUES (?, ?, ?, ?)"
# Rows are in the order of their offsets.
OWNERS = """SELECT impression_id, log_offset FROM claims WHERE impression_id IN ? AND kind = ? AND epoch = ?
    PER PARTITION LIMIT 1"""

READ_COUNT = """SELECT served, viewed, clicks, last_offset FROM counts WHERE tenant = ? AND slot = ? AND day = ?
    AND epoch = ? AND policy = ? AND city = ? AND banner = ? AND shard = ?"""
WRITE_COUNT = """INSERT INTO counts (tenant, slot, day, epoch, policy, city, banner, shard, served, viewed, clicks,
    last_offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""

READ_REFERRER = """SELECT served, viewed, clicks, last_offset FROM counts_by_referrer WHERE tenant = ? AND slot = ?
    AND day = ? AND epoch = ? AND referrer = ? AND banner = ? AND shard = ?"""
WRITE_REFERRER = """INSERT INTO counts_by_referrer (tenant, slot, day, epoch, referrer, banner, shard, served, viewed,
    clicks, last_offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""

READ_CITY = "SELECT impressions, last_offset FROM unrecognised_cities WHERE tenant = ? AND epoch = ? AND name = ?\
    AND shard = ?"
WRITE_CITY = """INSERT INTO unrecognised_cities (tenant, epoch, name, shard, impressions, last_offset)
    VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""

READ_SAMPLED = """SELECT decisions, inverse, squares, largest, last_offset FROM sampled WHERE tenant = ? AND slot = ?
    AND day = ? AND epoch = ? AND eligible = ? AND banner = ? AND shard = ?"""
WRITE_SAMPLED = """INSERT INTO sampled (tenant, slot, day, epoch, eligible, banner, shard, decisions, inverse, squares,
    largest, last_offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""

READ_WOULD_BE = """SELECT decisions, last_offset FROM would_be WHERE tenant = ? AND slot = ? AND day = ? AND epoch = ?
    AND city = ? AND banner = ? AND shard = ?"""
WRITE_WOULD_BE = """INSERT INTO would_be (tenant, slot, day, epoch, city, banner, shard, decisions, last_offset)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""

READ_NAMES = "SELECT name, first_offset FROM names WHERE tenant = ? AND epoch = ? AND shard = ? AND sort = ?"
WRITE_NAME = """INSERT INTO names (tenant, epoch, shard, sort, name, first_offset) VALUES (?, ?, ?, ?, ?, ?)
    USING TIMESTAMP ?"""

# Stamped with the time of receipt: a replay does not bring back a customer who was forgotten since.
WRITE_CLICK = """INSERT INTO clicks_by_city (tenant, city, day, bucket, received_at, impression_id, served_at, slot,
    banner, customer, referrer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""

PARTITIONS_TOGETHER = 10
"""Claims or clicks of one statement, each in a partition of its own; Cassandra warns of batches over more of them."""
ROWS_TOGETHER = 100
"""Rows of one partition in one statement: one mutation of some 20 KiB."""

Item = TypeVar("Item")


class CassandraCounting:
    """The CountingStore of one epoch. Every method raises StoreUnavailable."""

    def __init__(self, session: CassandraSession, epoch: int) -> None:
        self._session = session
        self._epoch = epoch

    def progress(self, shard: int) -> Progress | None:
        rows = self._session.run(READ_PROGRESS, (self._epoch, shard), COUNTING)
        return Progress(rows[0][0], _decode_ranges(rows[0][1])) if rows else None

    def claim(self, claims: Sequence[Claim]) -> None:
        requests: list[Request] = [(CLAIM, (one.impression_id, one.kind, self._epoch, one.offset)) for one in claims]
        self._run([Together(piece) for piece in _pieces(requests, PARTITIONS_TOGETHER)])

    def owners(self, claims: Sequence[Claim]) -> Sequence[int]:
        asked: dict[str, dict[bytes, None]] = defaultdict(dict)
        for one in claims:
            asked[one.kind][one.impression_id] = None
        pieces = [(kind, piece) for kind, ids in asked.items() for piece in _pieces(list(ids), PARTITIONS_TOGETHER)]
        answers = self._run([(OWNERS, (piece, kind, self._epoch)) for kind, piece in pieces])
        lowest = {(kind, row[0]): row[1] for (kind, _), rows in zip(pieces, answers, strict=True) for row in rows}
        # None at all would mean that a claim is gone which a quorum has just acknowledged.
        return [lowest[one.kind, one.impression_id] for one in claims]

    def counts(self, shard: int, keys: Sequence[Key]) -> Sequence[Value | None]:
        answers = self._run([self._read(shard, key) for key in keys])
        return [_value(key, rows[0]) if rows else None for key, rows in zip(keys, answers, strict=True)]

    def names(self, shard: int, tenant: str, sort: str) -> Mapping[str, int]:
        rows = self._session.run(READ_NAMES, (tenant, self._epoch, shard, sort), COUNTING)
        return dict(rows)

    def write(self, counts: Sequence[CountWrite], names: Sequence[NameWrite], clicks: Sequence[BannerEvent]) -> None:
        partitions: dict[tuple[object, ...], list[Request]] = defaultdict(list)
        for one in counts:
            request = self._write(one)
            partitions[request[0], *_partition(one.key)].append(request)
        together = [Together(piece) for rows in partitions.values() for piece in _pieces(rows, ROWS_TOGETHER)]
        together += [Together(piece) for piece in _pieces([*map(_write_click, clicks)], PARTITIONS_TOGETHER)]
        self._run([*together, *map(self._write_name, names)])

    def write_progress(self, progress: Sequence[ProgressWrite]) -> None:
        self._run(
            [
                (WRITE_PROGRESS, (self._epoch, shard, one.next_offset, _encode_ranges(one.journals), stamp_us))
                for shard, one, stamp_us in progress
            ]
        )

    def _run(self, requests: Sequence[Request | Together]) -> list[list[Row]]:
        return self._session.run_many(requests, COUNTING) if requests else []

    def _read(self, shard: int, key: Key) -> Request:
        match key:
            case Cell(tenant, slot, day, policy, city, banner):
                return READ_COUNT, (tenant, slot, day, self._epoch, policy, city, banner, shard)
            case ReferrerCell(tenant, slot, day, referrer, banner):
                return READ_REFERRER, (tenant, slot, day, self._epoch, referrer, banner, shard)
            case CityName(tenant, name):
                return READ_CITY, (tenant, self._epoch, name, shard)
            case SampledSet(tenant, slot, day, eligible, banner, _):
                return READ_SAMPLED, (tenant, slot, day, self._epoch, eligible, banner, shard)
            case WouldBe(tenant, slot, day, city, banner, _):
                return READ_WOULD_BE, (tenant, slot, day, self._epoch, city, banner, shard)

    def _write(self, write: CountWrite) -> Request:
        shard, key, value, stamp_us = write
        match key:
            case Cell(tenant, slot, day, policy, city, banner):
                return WRITE_COUNT, (tenant, slot, day, self._epoch, policy, city, banner, shard, *value, stamp_us)
            case ReferrerCell(tenant, slot, day, referrer, banner):
                return WRITE_REFERRER, (tenant, slot, day, self._epoch, referrer, banner, shard, *value, stamp_us)
            case CityName(tenant, name):
                return WRITE_CITY, (tenant, self._epoch, name, shard, value[0], value.last_offset, stamp_us)
            case SampledSet(tenant, slot, day, eligible, banner, _):
                return WRITE_SAMPLED, (tenant, slot, day, self._epoch, eligible, banner, shard, *value, stamp_us)
            case WouldBe(tenant, slot, day, city, banner, _):
                row = (tenant, slot, day, self._epoch, city, banner, shard)
                return WRITE_WOULD_BE, (*row, value[0], value.last_offset, stamp_us)

    def _write_name(self, write: NameWrite) -> Request:
        shard, tenant, sort, name, first_offset, stamp_us = write
        return WRITE_NAME, (tenant, self._epoch, shard, sort, name, first_offset, stamp_us)


def _value(key: Key, row: Row) -> Value:
    if isinstance(key, SampledSet):
        return Sampled(*row)
    if isinstance(key, CityName | WouldBe):
        impressions, last_offset = row
        return Count(impressions, 0, 0, last_offset)
    return Count(*row)


def _partition(key: Key) -> tuple[object, ...]:
    """What of its key makes, with the epoch, the partition that a row is in."""
    return key[:1] if isinstance(key, CityName) else key[:3]


def _pieces(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _write_click(event: BannerEvent) -> Request:
    place = (event.tenant, event.city, event.day, click_bucket(event.impression_id), event.received_at)
    rest = (event.impression_id, event.served_at, event.slot, event.banner, event.customer, event.referrer)
    return WRITE_CLICK, (*place, *rest, event.received_at)


def _encode_ranges(journals: Mapping[int, JournalRanges]) -> bytes:
    return json.dumps({str(journal): ranges for journal, ranges in journals.items()}, separators=(",", ":")).encode()


def _decode_ranges(stored: bytes) -> dict[int, JournalRanges]:
    return {
        int(journal): JournalRanges(highest, seen_us, tuple((first, last) for first, last in gaps))
        for journal, (highest, seen_us, gaps) in json.loads(stored).items()
    }

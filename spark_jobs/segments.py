"""Groups of customers who behave alike, by k-means over what is archived.

    python -m spark_jobs.segments --tenant T                   into the store, for /reports/segment
    python -m spark_jobs.segments --tenant T --output segments.csv --dry-run

A customer (a keyed hash, nobody's name) is described by impressions, active days, cities, main city, main referrer,
and a click rate smoothed towards that of all. The number of groups is the one with the best silhouette. Names go by
click rate: s1 clicks most. The same archive and seed give the same groups.

Exit codes: 0 done, 1 not done, 2 wrong arguments, settings or archive, or too few customers, 143 told to end.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from bandit.model import SegmentRow
from bandit.zone import date_to_day
from settings import Settings
from spark_jobs import job
from spark_jobs.clickstream_by_city import free, write
from spark_jobs.job import BadInput
from storage.archive import ArchiveDirectory
from storage.base import Store
from storage.opening import open_store

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

HEADING = ("segment", "customers", "impressions", "clicks", "ctr", "active days", "main city", "main referrer")
FEWEST = 20
"""Customers below which groups mean nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; see above."""
    return job.run("segments", _parser().parse_args(arguments), _work)


def _work(given: argparse.Namespace, settings: Settings, open_session: "Callable[..., SparkSession]") -> int:
    from spark_jobs.events import Wanted, check, day_range, read_archive
    from spark_jobs.folding import accepted_once, count

    clock = job.Clock()
    output = free(given.output, "csv" if given.output else "console")
    if not 2 <= given.most <= 20:
        raise BadInput("--most: a number of segments from 2 to 20")
    day_range(given.first, given.last)
    archive = ArchiveDirectory(settings.archive_directory)
    wanted = Wanted(tenant=given.tenant, first=given.first, last=given.last)
    archive.manifest()
    store = open_store(settings)
    try:
        _check_tenant(store, given.tenant)
        check(archive, wanted)
        events = read_archive(open_session(connectors=False), archive, wanted).where("customer IS NOT NULL")
        counts = count(accepted_once(events), BY).persist()
        segments = cluster(counts, given.most, given.seed).persist()
        print(job.table(summary(segments), HEADING))
        if given.output:
            write(_readable(segments), "csv", output)
        if not given.dry_run:
            store_segments(store, given.tenant, segments, counts)
    finally:
        store.close()
    print(f"segments of {given.tenant}: {'only shown' if given.dry_run else 'stored'}, {clock}")
    return job.DONE


BY = ("tenant", "slot", "day", "banner", "city", "referrer", "customer")


def cluster(counts: "DataFrame", most: int, seed: int) -> "DataFrame":
    """One row a customer: the hash, its figures, and its segment. Raises BadInput for too few customers."""
    from spark_jobs.customers import customers, features, label

    described = customers(counts).persist()
    found = described.count()
    if found < FEWEST:
        raise BadInput(f"{found} customers are archived, and at least {FEWEST} are needed to tell groups apart")
    return label(features(described), most, seed)


def summary(segments: "DataFrame") -> list[tuple[object, ...]]:
    """A row a segment, as HEADING says."""
    from pyspark.sql import functions as f

    rows = segments.groupBy("segment").agg(
        f.count("*"),
        f.sum("impressions"),
        f.sum("clicks"),
        f.sum("clicks") / f.sum("impressions"),
        f.avg("days"),
        f.mode("city"),
        f.mode("referrer"),
    )
    return [tuple(row) for row in rows.orderBy("segment").collect()]


def store_segments(store: Store, tenant: str, segments: "DataFrame", counts: "DataFrame") -> None:
    """Who is in which, and what was counted of each. Raises StoreUnavailable."""
    from pyspark.sql import functions as f

    sums = [f.sum(name).alias(name) for name in ("served", "viewed", "clicks")]
    joined = counts.join(segments.select("customer", "segment"), "customer")
    by_segment = joined.groupBy("slot", "day", "segment", "banner").agg(*sums)
    store.put_segments(tenant, time.time_ns(), _members(segments), _counts(by_segment))


def _members(segments: "DataFrame") -> Iterator[tuple[bytes, str]]:
    for row in segments.select("customer", "segment").toLocalIterator():
        yield bytes(row.customer), row.segment


def _counts(rows: "DataFrame") -> Iterator[tuple[str, SegmentRow]]:
    for row in rows.toLocalIterator():
        numbers = (int(row.served), int(row.viewed), int(row.clicks))
        yield row.slot, SegmentRow(date_to_day(row.day), row.segment, row.banner, *numbers)


def _readable(segments: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as f

    hashed = f.lower(f.hex("customer")).alias("customer")
    return segments.select(hashed, "segment", "impressions", "clicks", "ctr", "days", "cities", "city", "referrer")


def _check_tenant(store: Store, tenant: str) -> None:
    tenants = store.configuration().tenants
    if tenant not in tenants:
        raise BadInput(f"--tenant: there is no {tenant}; there are: {', '.join(sorted(tenants)) or 'none'}")


def _parser() -> argparse.ArgumentParser:
    parser = job.parser("spark_jobs.segments", __doc__)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="DAY", help="first day, 2026-06-01")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="DAY", help="last day")
    parser.add_argument("--most", type=int, default=6, help="segments at most (default: 6)")
    parser.add_argument("--seed", type=int, default=1, help="of the clustering (default: 1)")
    parser.add_argument("--output", type=Path, help="directory for a CSV of all customers; must not be there")
    parser.add_argument("--dry-run", action="store_true", help="do not touch the store")
    return parser


if __name__ == "__main__":
    sys.exit(main())

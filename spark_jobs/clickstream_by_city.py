"""Impressions, views and clicks of one city or several, and the click rate of each banner there.

    python -m spark_jobs.clickstream_by_city --tenant T --city Bengaluru --from 2026-06-01 --to 2026-06-30
    python -m spark_jobs.clickstream_by_city --tenant T --city pune --city mumbai --format parquet --output
    pune-and-mumbai

Cities are written as in the service: capitals, accents and aliases do not matter. Days are those of the impression in
the tenant's zone. From the archive (default) only the directories asked for are read; from Cassandra (--source
cassandra) only the partitions of the click table, which holds accepted clicks. --source topic reads Kafka from
--starting on and before --ending: offsets by partition (those not named: all) or times at which messages were written.

Exit codes: 0 done, 1 not done, 2 wrong arguments, settings, archive or nothing found, 143 told to end.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from bandit.city import index, recognise
from bandit.model import OTHER, UNKNOWN, Tenant
from bandit.zone import date_to_day
from settings import Settings
from spark_jobs import job
from spark_jobs.job import BadInput
from storage.archive import ArchiveDirectory
from storage.base import Store
from storage.opening import cassandra_options, open_store

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.events import Wanted

BannerRow = tuple[str, str, int, int, int, float | None]
"""slot, banner, served, viewed, clicks, CTR."""
HEADING = ("slot", "banner", "served", "viewed", "clicks", "ctr")
SHOWN = 50
MAX_REASONS = 20
MAX_CASSANDRA_DAYS = 400
OpenSession = Callable[..., "SparkSession"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; see above."""
    return job.run("clickstream_by_city", _parser().parse_args(arguments), _work)


def _work(given: argparse.Namespace, settings: Settings, open_session: OpenSession) -> int:
    clock = job.Clock()
    output = free(given.output, given.format)
    store = open_store(settings)
    try:
        tenant, wanted = _wanted(given, store)
        if given.source == "cassandra":
            events, banners = _from_cassandra(settings, store, wanted, open_session)
        else:
            read = _from_topic if given.source == "topic" else _from_archive
            events, banners = _counted(read(given, settings, wanted, open_session))
    finally:
        store.close()
    if not banners:
        raise BadInput(
            f"nothing was found in {', '.join(wanted.cities)} of {tenant.id} on these days; is it archived yet?"
        )
    if given.format == "console":
        _readable(events, tenant.time_zone).show(SHOWN, truncate=False)
    else:
        write(_readable(events, tenant.time_zone) if given.format == "csv" else events, given.format, output)
    print(job.table(banners, HEADING))
    print(f"{given.source}: {', '.join(wanted.cities)} of {tenant.id}, {clock}")
    return job.DONE


def by_banner(events: "DataFrame") -> "DataFrame":
    """Events to one row a slot and banner: what was counted of them, and the clicks per impression."""
    from pyspark.sql import functions as f

    from spark_jobs.folding import NUMBERS, accepted_once, count

    counts = count(accepted_once(events))
    sums = counts.groupBy("slot", "banner").agg(*[f.sum(name).alias(name) for name in NUMBERS])
    return sums.withColumn("ctr", f.try_divide("clicks", "served")).orderBy("slot", "banner")


def write(events: "DataFrame", kind: str, output: Path) -> None:
    """A directory of files, whole or not at all."""
    partial = output.with_name(f"{output.name}.partial")
    writer = events.write.mode("overwrite")
    try:
        if kind == "csv":
            writer.option("header", True).csv(str(partial))
        else:
            writer.parquet(str(partial))
        partial.rename(output)
    except job.Stopped:
        job.aside(events.sparkSession.stop)  # else it goes on writing
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _from_archive(
    given: argparse.Namespace, settings: Settings, wanted: "Wanted", open_session: OpenSession
) -> "DataFrame":
    from spark_jobs.events import check, read_archive

    archive = ArchiveDirectory(Path(given.archive or settings.archive_directory))
    check(archive, wanted)
    return read_archive(open_session(connectors=False), archive, wanted)


def _from_topic(
    given: argparse.Namespace, settings: Settings, wanted: "Wanted", open_session: OpenSession
) -> "DataFrame":
    from kafka_ingest.opening import options, schemas
    from spark_jobs.events import select
    from spark_jobs.topic import decode, kafka_options, offsets_json, read_topic
    from spark_jobs.topic_bounds import between, parse

    starting, ending = parse("starting", given.starting), parse("ending", given.ending)
    kafka, topic = options(settings), settings.kafka.topic
    first, last = between(kafka, topic, starting, ending)
    bounds = {"startingOffsets": offsets_json(topic, first), "endingOffsets": offsets_json(topic, last)}
    messages = read_topic(open_session(connectors=True), kafka_options(kafka), topic, **bounds)
    decoded = decode(messages.persist(), schemas(settings))
    unread = decoded.undecodable.groupBy("reason").count().orderBy("reason").limit(MAX_REASONS).collect()
    for row in unread:
        print(f"left out: {row['count']:,} messages that are no event ({row['reason']})", file=sys.stderr)
    return select(decoded.events, wanted)


def _from_cassandra(
    settings: Settings, store: Store, wanted: "Wanted", open_session: OpenSession
) -> "tuple[DataFrame, list[BannerRow]]":
    """Clicks from the click table; impressions from the counts, which have no single events."""
    from spark_jobs.cassandra import clicks, session_options

    if settings.storage.backend != "cassandra":
        raise BadInput("--source cassandra needs storage.backend = cassandra")
    if wanted.first is None or wanted.last is None:
        raise BadInput("--source cassandra needs --from and --to: its partitions are found by their days")
    days = range(date_to_day(wanted.first), date_to_day(wanted.last) + 1)
    if len(days) > MAX_CASSANDRA_DAYS:
        raise BadInput(f"--source cassandra covers at most {MAX_CASSANDRA_DAYS} days; the archive has no such limit")
    options = cassandra_options(settings)
    spark = open_session(connectors=True, **session_options(options))
    found = clicks(spark, options.keyspace, str(wanted.tenant), wanted.cities, days)
    if wanted.slot:
        found = found.where(found["slot"] == wanted.slot)
    return found, counted_rows(store, wanted, days)


def counted_rows(store: Store, wanted: "Wanted", days: range) -> list[BannerRow]:
    """The store's counts of these cities, by slot and banner."""
    tenant = str(wanted.tenant)
    slots = [wanted.slot] if wanted.slot else [slot for one, slot in store.configuration().slots if one == tenant]
    sums: dict[tuple[str, str], list[int]] = {}
    for slot in slots:
        for row in store.counts(tenant, slot, days[0], days[-1]):
            if row.city in wanted.cities:
                total = sums.setdefault((slot, row.banner), [0, 0, 0])
                total[:] = total[0] + row.served, total[1] + row.viewed, total[2] + row.clicks
    return [(*key, n[0], n[1], n[2], n[2] / n[0] if n[0] else None) for key, n in sorted(sums.items())]


def _counted(events: "DataFrame") -> "tuple[DataFrame, list[BannerRow]]":
    # A slot's banners of a few cities: as many as a person can configure.
    return events, [tuple(row) for row in by_banner(events).collect()]


def _readable(events: "DataFrame", zone: str) -> "DataFrame":
    """Hashes and ids as hex, and times in the tenant's zone: what a person or a spreadsheet can read."""
    from pyspark.sql import functions as f

    for name, kind in events.dtypes:
        if kind == "binary":
            events = events.withColumn(name, f.lower(f.hex(name)))
        elif kind == "timestamp":
            local = f.from_utc_timestamp(name, zone)
            events = events.withColumn(name, f.date_format(local, "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"))
    return events


def _wanted(given: argparse.Namespace, store: Store) -> "tuple[Tenant, Wanted]":
    from spark_jobs.events import Wanted, day_range

    tenants = store.configuration().tenants
    if given.tenant not in tenants:
        raise BadInput(f"--tenant: there is no {given.tenant}; there are: {', '.join(sorted(tenants)) or 'none'}")
    day_range(given.first, given.last)
    tenant = tenants[given.tenant]
    cities = city_ids(given.city, tenant)
    return tenant, Wanted(tenant.id, cities, given.slot, given.first, given.last)


def city_ids(names: Iterable[str], tenant: Tenant) -> list[str]:
    """The ids of cities as people write them. Raises BadInput for one that the tenant does not have."""
    known = index(tenant.cities)
    found = {name: name if name in (OTHER, UNKNOWN) else recognise(name, known) for name in names}
    wrong = [name for name, city in found.items() if city in (OTHER, UNKNOWN) and name != city]
    if wrong:
        raise BadInput(
            f"--city: {', '.join(wrong)} is no city of {tenant.id}; there are: {', '.join(sorted(tenant.cities))}, "
            f"{OTHER} (all other names) and {UNKNOWN} (none given)"
        )
    return sorted(set(found.values()))


def free(output: Path | None, kind: str) -> Path:
    """Where to write, made absolute. Raises BadInput where something is there."""
    if kind == "console":
        return Path()
    if output is None:
        raise BadInput(f"--format {kind} needs --output, a directory that is not there yet")
    if output.exists():
        raise BadInput(f"--output: {output} is there already; nothing is overwritten")
    return output.resolve()


def _parser() -> argparse.ArgumentParser:
    parser = job.parser("spark_jobs.clickstream_by_city", __doc__)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--city", required=True, action="append", help="may be given several times")
    parser.add_argument("--slot")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="DAY", help="first day, 2026-06-01")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="DAY", help="last day")
    parser.add_argument("--source", choices=("archive", "cassandra", "topic"), default="archive")
    parser.add_argument("--archive", help="directory (default: archive.directory)")
    parser.add_argument(
        "--starting", default="earliest", help='with topic: earliest, a time, or offsets such as {"0": 1200}'
    )
    parser.add_argument("--ending", default="latest", help="with topic: latest, a time, or offsets; itself left out")
    parser.add_argument("--format", choices=("console", "parquet", "csv"), default="console")
    parser.add_argument("--output", type=Path, help="directory for parquet or csv; must not be there")
    return parser


if __name__ == "__main__":
    sys.exit(main())

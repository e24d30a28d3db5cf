"""The recount of an epoch in Cassandra: what the log says up to one offset of each shard, against the live rows.

That offset is where the live epoch's progress stands: then the new epoch's progress is the live one's, with the
journals' ranges as they are, and whatever a consumer does meanwhile lies beyond. Rows that moved on beyond it are not
compared.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bandit.counting_store import Progress
from bandit.model import IMPORTED_SHARD, Epoch
from bandit.zone import day_to_date
from settings import Settings
from spark_jobs import job
from spark_jobs.filling import COUNT_TABLES, DRAW_TABLES, Filling, LiveRows, fill
from spark_jobs.job import BadInput
from spark_jobs.whole_days import WholeDays, of_archive
from storage.archive import ArchiveDirectory, Manifest
from storage.base import Store
from storage.opening import cassandra_options, open_store
from storage.stream_checkpoint import end_offsets

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from spark_jobs.folding import Exclusions
    from storage.cassandra_session import CassandraSession

CATCH_UP = "run `python -m spark_jobs.archive --available-now` first, or give --source topic"


class Live(NamedTuple):
    """The active epoch, as of its progress."""

    epoch: Epoch
    progress: Mapping[int, Progress]
    """Of every shard; of one that has not begun, where it begins."""

    @property
    def ends(self) -> dict[int, int]:
        """Shard -> the offset up to which everything is counted."""
        return {shard: progress.next_offset for shard, progress in self.progress.items()}


class Source(NamedTuple):
    """Where events are read, and which days it has whole."""

    events: "DataFrame"
    days: WholeDays
    begins: Mapping[int, int]
    """Shard -> its first offset."""


def recount(
    settings: Settings,
    exclusions: "Exclusions",
    open_session: "Callable[..., SparkSession]",
    *,
    source: str,
    publish: bool,
) -> int:
    """The exit code. Raises BadInput, ArchiveError, StoreUnavailable, Conflict, MissingPackage."""
    from spark_jobs.cassandra import session_options
    from storage.cassandra_session import CassandraSession

    clock = job.Clock()
    options = cassandra_options(settings)
    store, session = open_store(settings), CassandraSession(options)
    try:
        live = read_live(session)
        reader = _FROM[source](settings, store, live)
        spark = open_session(connectors=True, **session_options(options))
        found, kept = _compare(spark, options.keyspace, reader(spark), live, exclusions)
        print(f"days kept as counted: {', '.join(str(day_to_date(day)) for day in kept) or 'none'}")
        if publish:
            number = fill(found, session, time.time_ns() // 1000)
            print(f"epoch {number} is filled and published; {found.differences:,} differences corrected, {clock}")
            return job.DONE
    finally:
        session.close()
        store.close()
    print(f"epoch {live.epoch.number} recounted from the {source}; {found.differences:,} differences found, {clock}")
    return job.NOT_DONE if found.differences else job.DONE


def read_live(session: "CassandraSession") -> Live:
    """Raises BadInput where no epoch is published, StoreUnavailable."""
    from storage.cassandra_counting import CassandraCounting
    from storage.cassandra_epochs import active_epoch

    epoch = active_epoch(session)
    if epoch is None:
        raise BadInput("no epoch is published, so there is nothing to recount; see python -m kafka_ingest.epochs")
    counting = CassandraCounting(session, epoch.number)
    starts = {shard: Progress(epoch.start_offsets.get(shard, 0), {}) for shard in range(epoch.partitions)}
    return Live(epoch, {shard: counting.progress(shard) or start for shard, start in starts.items()})


def _zones(store: Store) -> dict[str, str]:
    return {tenant.id: tenant.time_zone for tenant in store.configuration().tenants.values()}


def _from_archive(settings: Settings, store: Store, live: Live) -> "Callable[[SparkSession], Source]":
    from spark_jobs.events import read_archive

    archive = ArchiveDirectory(settings.archive_directory)
    manifest = archive.manifest()
    if manifest.topic_id != live.epoch.topic_id:
        raise BadInput(
            f"the archive at {archive.path} is of topic {manifest.topic} ({manifest.topic_id}), and epoch "
            f"{live.epoch.number} is counted from {live.epoch.topic} ({live.epoch.topic_id})"
        )
    archived = end_offsets(archive.checkpoint)
    behind = [
        f"{shard} ({archived.get(shard, 0)} of {end})"
        for shard, end in live.ends.items()
        if archived.get(shard, 0) < end
    ]
    if behind:
        raise BadInput(f"the archive lacks events that are counted, in shards {', '.join(behind)}: {CATCH_UP}")
    begins = {int(shard): offset for shard, offset in manifest.begins.items()}
    since = _complete_since(begins, live.epoch, manifest.complete_since_us)
    return lambda spark: Source(read_archive(spark, archive), of_archive(manifest, _zones(store), since), begins)


def _from_topic(settings: Settings, store: Store, live: Live) -> "Callable[[SparkSession], Source]":
    from kafka_ingest.epoch_topic import CannotCount, check_topic, log_starts
    from kafka_ingest.opening import options, schemas
    from spark_jobs.topic import decode, kafka_options, offsets_json, read_topic

    kafka, epoch = options(settings), live.epoch
    try:
        check_topic(kafka, epoch)
    except CannotCount as error:
        raise BadInput(str(error)) from error
    begins = log_starts(kafka, epoch.topic, epoch.partitions)
    since = _complete_since(begins, epoch, time.time_ns() // 1000)
    ends = {shard: max(begin, live.ends[shard]) for shard, begin in begins.items()}

    def read(spark: "SparkSession") -> Source:
        bounds = {
            "startingOffsets": offsets_json(epoch.topic, begins),
            "endingOffsets": offsets_json(epoch.topic, ends),
        }
        messages = read_topic(spark, kafka_options(kafka), epoch.topic, **bounds)
        # Several passes are made over it, and reading and decoding the log takes longer than all else.
        events = decode(messages, schemas(settings)).events.persist()
        return Source(events, of_archive(Manifest(), _zones(store), since), begins)

    return read


_FROM: "dict[str, Callable[[Settings, Store, Live], Callable[[SparkSession], Source]]]" = {
    "archive": _from_archive,
    "topic": _from_topic,
}


def _complete_since(begins: Mapping[int, int], epoch: Epoch, since_us: int) -> int:
    """0 where the source has everything from where the epoch begins on."""
    is_complete = all(begin <= epoch.start_offsets.get(shard, 0) for shard, begin in begins.items())
    return 0 if is_complete else since_us


def _compare(
    spark: "SparkSession", keyspace: str, source: Source, live: Live, exclusions: "Exclusions"
) -> tuple[Filling, list[int]]:
    """Everything that publishing needs, each difference printed; and the days that are kept."""
    from pyspark.sql import functions as f

    from spark_jobs import folding
    from spark_jobs.folding import accepted_once, by_cell, by_referrer, count, exclude, first_names

    rows = LiveRows(spark, keyspace, live.epoch.number)
    ends = offsets_of(live.ends)
    # Also what lies before the epoch's start: an archive knows more than the log did when the epoch was made.
    events = accepted_once(source.events.where(f.col("log_offset") < f.coalesce(ends, f.lit(0))))
    is_whole = whole(source.days) & (f.col("shard") != IMPORTED_SHARD)
    kept = {name: rows.table(name).where(~is_whole).persist() for name in (*COUNT_TABLES, *DRAW_TABLES)}
    claimed = rows.imported_claims() if has_imported(kept["counts"]) else None
    left = exclude(events, exclusions)
    counts = count(left, claimed=claimed).withColumn("day", f.unix_date("day")).persist()
    names = _names(first_names(counts, "referrer"), kept["counts_by_referrer"], rows.table("names"))
    anew = dict(zip(COUNT_TABLES, (by_cell(counts), by_referrer(counts, names)), strict=True))
    folded = {name: one.where(is_whole).drop("first_offset").persist() for name, one in anew.items()}
    found = sum(_report(differing(one, rows.table(name).where(is_whole), ends), name) for name, one in folded.items())
    folded |= {"sampled": folding.sampled(left).where(is_whole), "would_be": folding.would_be(left).where(is_whole)}
    is_complete, starts = source.days.are_all, live.epoch.start_offsets
    if is_complete:  # then the next recount must not take a source that begins later for complete
        starts = {**starts, **source.begins}
    epoch = live.epoch._replace(start_offsets=starts)
    filling = Filling(rows, epoch, live.progress, is_complete, found, counts, folded, kept, names, events, claimed)
    days = kept["counts"].where(f.col("shard") != IMPORTED_SHARD).select("day").distinct().orderBy("day")
    return filling, [row.day for row in days.collect()]


def has_imported(rows: "DataFrame") -> bool:
    """Whether some were counted elsewhere."""
    from pyspark.sql import functions as f

    return not rows.where(f.col("shard") == IMPORTED_SHARD).isEmpty()


def offsets_of(offsets: Mapping[int, int]) -> "Column":
    """The offset of a row's shard; null for a shard that is not named."""
    from pyspark.sql import functions as f

    pairs = [f.lit(one) for pair in offsets.items() for one in pair]
    return f.create_map(*pairs)[f.col("shard")] if pairs else f.lit(None).cast("bigint")


def whole(days: WholeDays) -> "Column":
    """Whether a row's day lies wholly inside the source."""
    from pyspark.sql import functions as f

    first = f.lit(days.first(""))
    for tenant in sorted(days.zones):
        first = f.when(f.col("tenant") == tenant, days.first(tenant)).otherwise(first)
    return f.col("day") >= first


def differing(folded: "DataFrame", counted: "DataFrame", ends: "Column") -> "DataFrame":
    """Rows whose numbers differ, with both; rows that were counted beyond the end are left out."""
    from pyspark.sql import functions as f

    from spark_jobs.folding import NUMBERS

    key = [name for name in folded.columns if name not in (*NUMBERS, "last_offset")]
    renamed = counted.select(*key, *[f.col(name).alias(f"counted_{name}") for name in (*NUMBERS, "last_offset")])
    joined = folded.join(renamed, key, "full_outer")
    same = [f.coalesce(name, f.lit(0)) == f.coalesce(f"counted_{name}", f.lit(0)) for name in NUMBERS]
    moved_on = f.coalesce("counted_last_offset", f.lit(-1)) >= f.coalesce(ends, f.lit(0))
    return joined.where(~(same[0] & same[1] & same[2]) & ~moved_on).orderBy(*key)


def _report(rows: "DataFrame", table: str) -> int:
    """Print each; how many there are."""
    found = 0
    for row in rows.toLocalIterator():
        found += 1
        print(
            f"{table} {_place(row.asDict())}: counted {_numbers(row, 'counted_')}; the events say {_numbers(row, '')}"
        )
    return found


def _place(row: Mapping[str, Any]) -> str:
    names = ("tenant", "slot", "day", "policy", "city", "referrer", "banner", "shard")
    shown = [day_to_date(row[name]) if name == "day" else row[name] for name in names if name in row]
    return " ".join(map(str, shown))


def _numbers(row: Any, prefix: str) -> str:
    values = [row[f"{prefix}{name}"] or 0 for name in ("served", "viewed", "clicks")]
    return "{} served, {} viewed, {} clicks".format(*values)


def _names(firsts: "DataFrame", kept: "DataFrame", live: "DataFrame") -> "DataFrame":
    """tenant, shard, referrer, first_offset: who counts by name. Those of kept days first, so that they stay so."""
    from pyspark.sql import functions as f

    from spark_jobs.folding import first_names

    stored = live.where(f.col("sort") == "referrer").select(
        "tenant", "shard", f.col("name").alias("referrer"), "first_offset"
    )
    used = stored.join(
        kept.select("tenant", "shard", "referrer").distinct(), ["tenant", "shard", "referrer"], "left_semi"
    )
    return first_names(used.unionByName(firsts), "referrer").persist()

"""A new epoch beside the live one: rows, names and claims, then progress, then the row that switches everybody over.

Everything is as of the live epoch's progress, and stamped as the consumers of the new epoch would stamp it, so they
go on from there as if they had counted it themselves.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from bandit.counting import MAX_CITY_NAMES
from bandit.counting_store import CITY, REFERRER, Progress, ProgressWrite
from bandit.model import Epoch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from storage.cassandra_session import CassandraSession

DAY_US = 86_400_000_000


class Filling(NamedTuple):
    """What was found by counting anew."""

    spark: "SparkSession"
    keyspace: str
    live: Epoch
    progress: Mapping[int, Progress]
    """Shard -> how far everything here is counted."""
    is_complete: bool
    """Whether the source has everything, so that nothing is carried over but imported counts."""
    differences: int
    counts: "DataFrame"
    """As from folding.count."""
    folded: "Mapping[str, DataFrame]"
    """Table -> rows of whole days."""
    kept: "Mapping[str, DataFrame]"
    """Table -> the live epoch's rows of other days, and imported ones."""
    names: "DataFrame"
    live_rows: "Mapping[str, DataFrame]"
    feedback: "DataFrame"
    """As from folding.first_feedback, with served_at; what is excluded has its claims too, so it cannot come again."""


def fill(found: Filling, session: "CassandraSession", now_us: int) -> int:
    """Write the next epoch and publish it; its number. Raises StoreUnavailable, Conflict."""
    from storage.cassandra_counting import CassandraCounting
    from storage.cassandra_epochs import create_epoch, epochs, publish_epoch

    number = max(epoch.number for epoch in epochs(session)) + 1
    epoch = found.live._replace(number=number, started_us=now_us, state="filling")
    create_epoch(session, epoch)
    for name in found.folded:
        _write_rows(found, epoch, name)
    _write_names(found, epoch)
    _write_cities(found, epoch)
    _write_claims(found, epoch)
    CassandraCounting(session, number).write_progress(
        [ProgressWrite(shard, one, now_us + one.next_offset - 1) for shard, one in found.progress.items()]
    )
    publish_epoch(session, number)
    return number


def _write_rows(found: Filling, epoch: Epoch, name: str) -> None:
    _append(found, epoch, found.folded[name].unionByName(found.kept[name]), name, "last_offset")


def _write_names(found: Filling, epoch: Epoch) -> None:
    from pyspark.sql import functions as f

    from spark_jobs.folding import first_names

    referrers = found.names.withColumnRenamed("referrer", "name").withColumn("sort", f.lit(REFERRER))
    firsts = first_names(found.counts, "unrecognised_city", MAX_CITY_NAMES)
    cities = firsts.withColumnRenamed("unrecognised_city", "name").withColumn("sort", f.lit(CITY))
    if not found.is_complete:
        cities = found.live_rows["names"].where(f.col("sort") == CITY)
    _append(found, epoch, referrers.unionByName(cities), "names", "first_offset")


def _write_cities(found: Filling, epoch: Epoch) -> None:
    """Impressions by name have no day: they are carried over where days are."""
    from pyspark.sql import functions as f

    from spark_jobs.folding import first_names

    rows = found.live_rows["unrecognised_cities"]
    if found.is_complete:
        key = ["tenant", "shard", "unrecognised_city"]
        known = first_names(found.counts, "unrecognised_city", MAX_CITY_NAMES).select(*key)
        sums = found.counts.join(known, key, "left_semi").groupBy(*key)
        rows = sums.agg(f.sum("served").alias("impressions"), f.max("last_offset").alias("last_offset"))
        rows = rows.withColumnRenamed("unrecognised_city", "name")
    _append(found, epoch, rows, "unrecognised_cities", "last_offset")


def _write_claims(found: Filling, epoch: Epoch) -> None:
    """Who was first, of all that may come again; where days are kept, also as the live epoch has it."""
    from pyspark.sql import functions as f

    from kafka_ingest.epoch_topic import CLAIM_DAYS
    from spark_jobs.cassandra import append

    young = found.feedback.where(f.unix_micros("served_at") >= epoch.started_us - CLAIM_DAYS * DAY_US)
    kinds = [("viewed", "view_offset"), ("clicked", "click_offset")]
    claims = [
        young.where(f.col(column).isNotNull()).select(
            "impression_id", f.lit(kind).alias("kind"), f.col(column).alias("log_offset")
        )
        for kind, column in kinds
    ]
    rows = claims[0].unionByName(claims[1])
    if not found.is_complete:
        stored = found.live_rows["claims"].groupBy("impression_id", "kind").agg(f.min("log_offset").alias("log_offset"))
        rows = rows.unionByName(stored.select("impression_id", "kind", "log_offset"))
    append(rows.withColumn("epoch", f.lit(epoch.number)), found.keyspace, "claims")


def _append(found: Filling, epoch: Epoch, rows: "DataFrame", name: str, offset: str) -> None:
    from pyspark.sql import functions as f

    from spark_jobs.cassandra import append

    stamped = rows.withColumn("epoch", f.lit(epoch.number)).withColumn("stamp_us", f.col(offset) + epoch.started_us)
    append(stamped, found.keyspace, name, stamp="stamp_us")

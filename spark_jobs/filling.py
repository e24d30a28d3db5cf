"""A new epoch beside the live one: rows, names and claims, then progress, then the row that switches everybody over.

Everything is as of the live epoch's progress, and stamped as the consumers of the new epoch would stamp it, so they
go on from there as if they had counted it themselves.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from bandit.counting import MAX_CITY_NAMES
from bandit.counting_store import CITY, REFERRER, Progress, ProgressWrite
from bandit.model import IMPORTED_SHARD, Epoch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from storage.cassandra_session import CassandraSession

DAY_US = 86_400_000_000
COUNT_TABLES = ("counts", "counts_by_referrer")
DRAW_TABLES = ("sampled", "would_be")


class LiveRows(NamedTuple):
    """The tables of the live epoch, and where those of the next one go."""

    spark: "SparkSession"
    keyspace: str
    epoch: int

    def table(self, name: str) -> "DataFrame":
        """Its rows of this epoch, without the epoch."""
        from pyspark.sql import functions as f

        from spark_jobs.cassandra import read_table

        return read_table(self.spark, self.keyspace, name).where(f.col("epoch") == self.epoch).drop("epoch")

    def imported_claims(self) -> "DataFrame":
        """Views and clicks that were counted elsewhere: no record of the log may count them."""
        from pyspark.sql import functions as f

        return self.table("claims").where(f.col("log_offset") < 0).persist()


class Filling(NamedTuple):
    """What was found by counting anew."""

    live_rows: LiveRows
    live: Epoch
    progress: Mapping[int, Progress]
    """Shard -> how far everything here is counted."""
    is_complete: bool
    """Whether the source has everything, so that nothing is carried over but what was counted elsewhere."""
    differences: int
    counts: "DataFrame"
    """As from folding.count."""
    folded: "Mapping[str, DataFrame]"
    """Table -> rows of whole days."""
    kept: "Mapping[str, DataFrame]"
    """Table -> the live epoch's rows of other days, and imported ones."""
    names: "DataFrame"
    events: "DataFrame"
    """Accepted ones, each once; those that are excluded too: they have claims, so that they cannot come again."""
    imported_claims: "DataFrame | None"


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
        cities = found.live_rows.table("names").where(f.col("sort") == CITY)
    _append(found, epoch, referrers.unionByName(cities), "names", "first_offset")


def _write_cities(found: Filling, epoch: Epoch) -> None:
    """Impressions by name have no day: they are carried over where days are."""
    from pyspark.sql import functions as f

    from spark_jobs.folding import first_names

    rows = found.live_rows.table("unrecognised_cities").select("tenant", "shard", "name", "impressions", "last_offset")
    if found.is_complete:
        key = ["tenant", "shard", "unrecognised_city"]
        known = first_names(found.counts, "unrecognised_city", MAX_CITY_NAMES).select(*key)
        sums = found.counts.join(known, key, "left_semi").groupBy(*key)
        anew = sums.agg(f.sum("served").alias("impressions"), f.max("last_offset").alias("last_offset"))
        rows = rows.where(f.col("shard") == IMPORTED_SHARD).union(anew.select(*key, "impressions", "last_offset"))
    _append(found, epoch, rows, "unrecognised_cities", "last_offset")


def _write_claims(found: Filling, epoch: Epoch) -> None:
    """Who was first, of all that may come again; where days are kept, also as the live epoch has it."""
    from pyspark.sql import functions as f

    from kafka_ingest.epoch_topic import CLAIM_DAYS
    from spark_jobs.cassandra import append
    from spark_jobs.folding import first_feedback

    # By the log's own time, not the clock's: a log that was counted late has claims that live as long from then on.
    ((latest_us,),) = found.events.agg(f.coalesce(f.max(f.unix_micros("served_at")), f.lit(0))).collect()
    young = f.unix_micros("served_at") >= latest_us - CLAIM_DAYS * DAY_US
    feedback = first_feedback(found.events.where(young))
    columns = ("impression_id", "kind", "log_offset")
    rows = _claims(feedback, "viewed", "view_offset").union(_claims(feedback, "clicked", "click_offset"))
    carried = found.imported_claims if found.is_complete else found.live_rows.table("claims")
    if carried is not None:
        rows = rows.union(carried.select(*columns))
    firsts = rows.groupBy("impression_id", "kind").agg(f.min("log_offset").alias("log_offset"))
    append(firsts.withColumn("epoch", f.lit(epoch.number)), found.live_rows.keyspace, "claims")


def _claims(feedback: "DataFrame", kind: str, offset: str) -> "DataFrame":
    from pyspark.sql import functions as f

    claimed = feedback.where(f.col(offset).isNotNull())
    return claimed.select("impression_id", f.lit(kind).alias("kind"), f.col(offset).alias("log_offset"))


def _append(found: Filling, epoch: Epoch, rows: "DataFrame", name: str, offset: str) -> None:
    from pyspark.sql import functions as f

    from spark_jobs.cassandra import append

    stamped = rows.withColumn("epoch", f.lit(epoch.number)).withColumn("stamp_us", f.col(offset) + epoch.started_us)
    append(stamped, found.live_rows.keyspace, name, stamp="stamp_us")

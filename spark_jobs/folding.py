"""From events to counts, with the rule of bandit.event.increments said in Spark's own functions.

An accepted impression counts one served; the first accepted view or click of an impression one view; its first
accepted click one click. What the transport brought twice (the same journal, shard and sequence) counts once. First
is what has the lowest offset; all events of an impression are in one log, and the token says where they count.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as f

from bandit.model import MAX_REFERRERS, OTHER, UNKNOWN, Kind, Verdict

CELL = ("tenant", "slot", "day", "policy", "city", "banner", "shard")
REFERRER_CELL = ("tenant", "slot", "day", "referrer", "banner", "shard")
NUMBERS = ("served", "viewed", "clicks")
ON_IMPRESSIONS = "unrecognised_city"
"""A name that views and clicks do not repeat."""
FINE = (*CELL, "referrer", ON_IMPRESSIONS)
RECORD = ("journal", "shard", "sequence")
BLOCK_BITS = 6
"""Sequences are looked at in blocks of 64, one bit each."""


class Exclusions(NamedTuple):
    """What a recount leaves out; empty: nothing. Impressions go with their views and clicks."""

    served_from: datetime | None = None
    served_to: datetime | None = None
    customers: Sequence[bytes] = ()
    referrers: Sequence[str] = ()
    too_fast_ms: int = 0
    """Views and clicks sooner after their impression than this; as a stricter verdict would have judged."""


def exclude(events: DataFrame, exclusions: Exclusions) -> DataFrame:
    """The events that are left."""
    if exclusions.served_from and exclusions.served_to:
        inside = f.col("served_at").between(f.lit(exclusions.served_from), f.lit(exclusions.served_to))
        events = events.where(~inside)
    if exclusions.customers:
        hashes = [bytearray(customer) for customer in exclusions.customers]
        events = events.where(f.col("customer").isNull() | ~f.col("customer").isin(hashes))
    if exclusions.referrers:
        events = events.where(f.col("referrer").isNull() | ~f.col("referrer").isin(list(exclusions.referrers)))
    if exclusions.too_fast_ms:
        later_us = f.unix_micros("received_at") - f.unix_micros("served_at")
        events = events.where((f.col("kind") == Kind.SERVED.value) | (later_us >= exclusions.too_fast_ms * 1000))
    return events


def accepted(events: DataFrame) -> DataFrame:
    """Those that may count."""
    return events.where(f.col("verdict") == Verdict.ACCEPTED.value)


def without_repetitions(events: DataFrame) -> DataFrame:
    """Each record of a journal once: the one with the lowest offset.

    Which blocks of 64 sequences hold any twice is found out first, from three columns and without moving a row; as
    a rule there is none. Only the rows of such blocks are sorted.
    """
    block = f.shiftright("sequence", BLOCK_BITS).alias("block")
    bit = f.expr(f"shiftleft(1L, int(sequence & {(1 << BLOCK_BITS) - 1}))")
    blocks = events.groupBy("journal", "shard", block).agg(f.bit_or(bit).alias("bits"), f.count("*").alias("rows"))
    doubtful = blocks.where(f.bit_count("bits") < f.col("rows")).select("journal", "shard", "block").persist()
    try:
        if doubtful.isEmpty():
            return events
        marked = events.withColumn("block", block)
        key = ["journal", "shard", "block"]
        order = f.row_number().over(Window.partitionBy(*RECORD).orderBy("log_offset"))
        first = marked.join(doubtful, key, "left_semi").withColumn("order", order).where("order = 1").drop("order")
        return marked.join(doubtful, key, "left_anti").unionByName(first).drop("block")
    finally:
        doubtful.unpersist()


def count(events: DataFrame, by: Sequence[str] = FINE, claimed: DataFrame | None = None) -> DataFrame:
    """Accepted events, each once, to counts: columns `by`, NUMBERS, first_offset and last_offset of what counted.

    `by` may have more columns than FINE, as long as all events of an impression agree in them. `claimed`
    (impression_id, kind) was counted elsewhere before.
    """
    impressions = events.where(f.col("kind") == Kind.SERVED.value)
    served = impressions.groupBy(*by).agg(*_numbers(served=f.count("*")), *_offsets("log_offset"))
    return _sums(served.unionByName(_count_feedback(events, by, claimed)), by)


def _count_feedback(events: DataFrame, by: Sequence[str], claimed: DataFrame | None) -> DataFrame:
    """Views and clicks. Impressions are moved about with a hash of their cell, which stands for ten columns; of a
    million cells two have the same with probability 3e-8."""
    columns = [column for column in by if column != ON_IMPRESSIONS]
    marked = events.where(f.col("kind") != Kind.SERVED.value).withColumn("cell", f.xxhash64(*columns))
    firsts = first_feedback(marked, "cell")
    if claimed is not None:
        firsts = _not_claimed(firsts, claimed)
    numbers = _numbers(viewed=f.count("view_offset"), clicks=f.count("click_offset"))
    counted = firsts.groupBy("cell").agg(*numbers, *_offsets("view_offset", "click_offset"))
    names = marked.groupBy("cell", *columns).agg(f.lit(None).cast("string").alias(ON_IMPRESSIONS))
    cells = counted.where("viewed > 0 OR clicks > 0").join(names, "cell")
    return cells.select(*by, *NUMBERS, "first_offset", "last_offset")


def first_feedback(events: DataFrame, *columns: str) -> DataFrame:
    """One row an impression that was viewed or clicked: the offsets of its first view (a click is one) and click."""
    is_click = f.col("kind") == Kind.CLICKED.value
    return (
        events.where(f.col("kind") != Kind.SERVED.value)
        .groupBy("impression_id", *columns)
        .agg(
            f.min("log_offset").alias("view_offset"),
            f.min(f.when(is_click, f.col("log_offset"))).alias("click_offset"),
        )
    )


def _not_claimed(feedback: DataFrame, claimed: DataFrame) -> DataFrame:
    """Without the offsets of views and clicks that were counted elsewhere."""
    for kind, column in ((Kind.VIEWED, "view_offset"), (Kind.CLICKED, "click_offset")):
        ids = claimed.where(f.col("kind") == kind.value).select("impression_id", f.lit(True).alias("is_claimed"))
        joined = feedback.join(ids.distinct(), "impression_id", "left")
        kept = f.when(f.col("is_claimed").isNull(), f.col(column))
        feedback = joined.withColumn(column, kept).drop("is_claimed")
    return feedback


def by_cell(counts: DataFrame) -> DataFrame:
    """CELL, NUMBERS and the offsets."""
    return _sums(counts, CELL)


def by_referrer(counts: DataFrame, names: DataFrame) -> DataFrame:
    """REFERRER_CELL, NUMBERS and the offsets; `names` (tenant, shard, referrer) are counted as themselves."""
    known = names.select("tenant", "shard", "referrer", f.lit(True).alias("is_named")).distinct()
    joined = counts.join(known, ["tenant", "shard", "referrer"], "left")
    name = (
        f.when(f.col("referrer").isNull(), f.lit(UNKNOWN))
        .when(f.col("is_named"), f.col("referrer"))
        .otherwise(f.lit(OTHER))
    )
    return _sums(joined.withColumn("referrer", name), REFERRER_CELL)


def sampled(events: DataFrame) -> DataFrame:
    """What was drawn where the same banners competed, as bandit.event.draw has it; one row a set, banner and shard."""
    drawn = _drawn(events).withColumn("banner", f.coalesce("would_be_banner", "banner"))
    inverse = f.lit(1.0) / f.col("propensity")
    return drawn.groupBy("tenant", "slot", "day", "eligible", "banner", "shard").agg(
        f.count("*").alias("decisions"),
        f.sum(inverse).alias("inverse"),
        f.sum(inverse * inverse).alias("squares"),
        f.max(inverse).alias("largest"),
        f.max("log_offset").alias("last_offset"),
    )


def would_be(events: DataFrame) -> DataFrame:
    """What was drawn in shadow, one row a city, banner and shard."""
    drawn = _drawn(events).where("would_be_banner IS NOT NULL").withColumn("banner", f.col("would_be_banner"))
    counted = f.count("*").alias("decisions"), f.max("log_offset").alias("last_offset")
    return drawn.groupBy("tenant", "slot", "day", "city", "banner", "shard").agg(*counted)


def _drawn(events: DataFrame) -> DataFrame:
    impressions = events.where(f.col("kind") == Kind.SERVED.value)
    return impressions.where("eligible IS NOT NULL AND propensity > 0").withColumn("day", f.unix_date("day"))


def first_names(counts: DataFrame, column: str, most: int = MAX_REFERRERS) -> DataFrame:
    """tenant, shard, `column`, first_offset: the first names of each tenant in each log."""
    named = counts.where(f.col(column).isNotNull()).groupBy("tenant", "shard", column)
    firsts = named.agg(f.min("first_offset").alias("first_offset"))
    order = f.row_number().over(Window.partitionBy("tenant", "shard").orderBy("first_offset", column))
    return firsts.withColumn("order", order).where(f.col("order") <= most).drop("order")


def _numbers(**given: Column) -> list[Column]:
    return [given.get(name, f.lit(0).cast("bigint")).alias(name) for name in NUMBERS]


def _offsets(*columns: str) -> list[Column]:
    """Where the first and the last record stand that counted."""
    firsts, lasts = [f.min(column) for column in columns], [f.max(column) for column in columns]
    first, last = (firsts[0], lasts[0]) if len(columns) == 1 else (f.least(*firsts), f.greatest(*lasts))
    return [first.alias("first_offset"), last.alias("last_offset")]


def _sums(counts: DataFrame, key: Sequence[str]) -> DataFrame:
    sums = [f.sum(name).alias(name) for name in NUMBERS]
    ends = [f.min("first_offset").alias("first_offset"), f.max("last_offset").alias("last_offset")]
    return counts.groupBy(*key).agg(*sums, *ends)

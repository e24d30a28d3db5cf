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
FINE = (*CELL, "referrer", "unrecognised_city")
"""Views and clicks do not repeat the last one: it is null in them."""
RECORD = ("journal", "shard", "sequence")
BLOCK_BITS = 12
"""Sequences are looked at in blocks of 4,096."""
SUMS = {
    "firsts": "{0} * ({0} + 1) div 2",
    "squares": "{0} * ({0} + 1) * (2 * {0} + 1) div 6",
    "cubes": "({0} * ({0} + 1) div 2) * ({0} * ({0} + 1) div 2)",
}
"""Name -> the sum of the powers from 0 to a number (Faulhaber)."""
SHARD_SHIFT = 40


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


def accepted_once(events: DataFrame) -> DataFrame:
    """Those that may count, each record of a journal once: the one with the lowest offset.

    Which blocks of sequences may hold any twice is found out first, from three columns and without moving a row; as
    a rule there is none. Only the rows of such blocks are sorted.
    """
    doubtful = _blocks(events).where(~_is_run()).select("block")
    if doubtful.isEmpty():
        return accepted(events)
    marked = events.withColumn("block", _block())
    order = f.row_number().over(Window.partitionBy(*RECORD).orderBy("log_offset"))
    first = marked.join(doubtful, "block", "left_semi").withColumn("order", order).where("order = 1").drop("order")
    return accepted(marked.join(doubtful, "block", "left_anti").unionByName(first).drop("block"))


def _blocks(events: DataFrame) -> DataFrame:
    """Of each block: how many rows, the first and last place in it, and the sums of the places' powers."""
    place = f.col("sequence").bitwiseAND((1 << BLOCK_BITS) - 1)
    powers = [place, place * place, place * place * place]
    sums = [f.sum(power).alias(name) for power, name in zip(powers, SUMS, strict=True)]
    of_block = f.count("*").alias("rows"), f.min(place).alias("lo"), f.max(place).alias("hi")
    return events.groupBy(_block()).agg(*of_block, *sums)


def _is_run() -> Column:
    """Whether a block has each place from its first to its last once, as far as number and sums can tell.

    Where as many are missing as are there twice, the sums differ, but for sets of four or more made for the purpose
    (the Prouhet-Tarry-Escott problem). A block with a gap alone is no run either, and is sorted for nothing.
    """
    run = f.col("rows") == f.col("hi") - f.col("lo") + 1
    for name, up_to in SUMS.items():
        run &= f.col(name) == f.expr(f"{up_to.format('hi')} - {up_to.format('(lo - 1)')}")
    return run


def _block() -> Column:
    """The block of a record's sequence, as one number: those are grouped by in half the time of three. Journals are
    random numbers; should two blocks have the same, they are sorted for nothing, and no repetition is overlooked."""
    shard = f.shiftleft(f.col("shard").cast("bigint"), SHARD_SHIFT)
    number = f.col("journal").bitwiseXOR(shard).bitwiseXOR(f.shiftright("sequence", BLOCK_BITS))
    return number.alias("block")


def count(events: DataFrame, by: Sequence[str] = FINE, claimed: DataFrame | None = None) -> DataFrame:
    """Accepted events, each once, to counts: columns `by`, NUMBERS, first_offset and last_offset of what counted.

    All events of an impression have to agree in `by`, but for what FINE says. `claimed` (impression_id, kind) was
    counted elsewhere before.
    """
    firsts = _firsts(events, by)
    if claimed is not None:
        firsts = _not_claimed(firsts, claimed)
    counted = firsts.groupBy(*by).agg(
        f.sum("served").alias("served"),
        f.count("view_offset").alias("viewed"),
        f.count("click_offset").alias("clicks"),
        f.least(*map(f.min, ("first_served", "view_offset", "click_offset"))).alias("first_offset"),
        f.greatest(*map(f.max, ("last_served", "view_offset", "click_offset"))).alias("last_offset"),
    )
    return counted.where("first_offset IS NOT NULL")


def _firsts(events: DataFrame, by: Sequence[str]) -> DataFrame:
    """One pass over everything: a row for all impressions of a place, and one each that was viewed or clicked."""
    kind, offset = f.col("kind"), f.col("log_offset")
    # As a text, whatever its bytes: only by texts and numbers does Spark group in compiled code.
    impression = f.when(kind != Kind.SERVED.value, f.col("impression_id").cast("string")).alias("impression")
    groups = events.groupBy(*by, impression).agg(
        f.count("*").alias("events"),
        f.min(offset).alias("first"),
        f.max(offset).alias("last"),
        f.min(f.when(kind == Kind.CLICKED.value, offset)).alias("click_offset"),
    )
    is_served = f.col("impression").isNull()
    return groups.select(
        *by,
        "impression",
        f.when(is_served, f.col("events")).otherwise(0).alias("served"),
        f.when(is_served, f.col("first")).alias("first_served"),
        f.when(is_served, f.col("last")).alias("last_served"),
        f.when(~is_served, f.col("first")).alias("view_offset"),
        "click_offset",
    )


def first_feedback(events: DataFrame) -> DataFrame:
    """One row an impression that was viewed or clicked: the offsets of its first view (a click is one) and click."""
    firsts = _firsts(events.where(f.col("kind") != Kind.SERVED.value), ())
    return firsts.select(f.col("impression").cast("binary").alias("impression_id"), "view_offset", "click_offset")


def _not_claimed(firsts: DataFrame, claimed: DataFrame) -> DataFrame:
    """Without the offsets of views and clicks that were counted elsewhere."""
    impression = f.col("impression_id").cast("string").alias("impression")
    for kind, column in ((Kind.VIEWED, "view_offset"), (Kind.CLICKED, "click_offset")):
        ids = claimed.where(f.col("kind") == kind.value).select(impression, f.lit(True).alias("is_claimed"))
        joined = firsts.join(ids.distinct(), "impression", "left")
        kept = f.when(f.col("is_claimed").isNull(), f.col(column))
        firsts = joined.withColumn(column, kept).drop("is_claimed")
    return firsts


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


def _sums(counts: DataFrame, key: Sequence[str]) -> DataFrame:
    sums = [f.sum(name).alias(name) for name in NUMBERS]
    ends = [f.min("first_offset").alias("first_offset"), f.max("last_offset").alias("last_offset")]
    return counts.groupBy(*key).agg(*sums, *ends)

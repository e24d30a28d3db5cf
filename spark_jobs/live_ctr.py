"""Click rates by city and banner while they happen, in windows of time.

    python -m spark_jobs.live_ctr                                  windows of 5 minutes, as lines
    python -m spark_jobs.live_ctr --window 15 --to parquet --output live
    python -m spark_jobs.live_ctr --to topic --topic live-ctr      as JSON into Kafka

Reads kafka.topic from now on (--from-start: from its beginning). A window is shown once, when --delay minutes have
gone by without an event of it being late; times are of receipt. A view or click that comes again within the delay
counts once. A line with ALARM says that a banner's click rate left what the counts of the last two weeks say it
usually is. With --to parquet a second run goes on where the first ended.

Exit codes: 0 told to end, 1 cannot go on, 2 wrong arguments or settings.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bandit.usual import alarm
from settings import Settings
from spark_jobs import job
from spark_jobs.job import BadInput
from storage.base import Store
from storage.opening import open_store

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from kafka_ingest.registry import Schemas

USUAL_DAYS = 14
KNOWN_SECONDS = 600.0
DAY_SECONDS = 86_400
UNREAD = "unread"
Place = tuple[str, str]
"""Tenant and slot."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; see above."""
    return job.run("live_ctr", _parser().parse_args(arguments), _work)


def _work(given: argparse.Namespace, settings: Settings, open_session: "Callable[..., SparkSession]") -> int:
    from pyspark.sql import functions as f

    from kafka_ingest.opening import options, schemas
    from spark_jobs.topic import kafka_options, read_as, split
    from spark_jobs.topic_bounds import partitions_of

    _check(given)
    topic = settings.kafka.topic
    for name in (topic, given.topic) if given.to == "topic" else (topic,):
        partitions_of(options(settings), name)
    writers = expected_schemas(schemas(settings), topic)
    store = open_store(settings)
    try:
        spark, kafka = open_session(connectors=True), kafka_options(options(settings))
        start = "earliest" if given.from_start else "latest"
        messages = spark.readStream.format("kafka").options(**kafka, subscribe=topic, startingOffsets=start).load()
        read = read_as(messages, writers).observe(UNREAD, f.count("reason").alias("messages"))
        windows = rates(split(read).events, given.window, given.delay)
        sink = Sink(given, settings.log.time_zone, Usual(store), kafka)
        writer = windows.writeStream.outputMode("append").foreachBatch(sink.write)
        if checkpoint := _checkpoint(given):
            writer = writer.option("checkpointLocation", str(checkpoint))
        query = writer.trigger(processingTime=f"{given.every} seconds").start()
        job.wait(query, Unread(query).look)
        return job.DONE
    finally:
        store.close()


def expected_schemas(schemas: "Schemas", topic: str) -> dict[int, str]:
    """Number -> schema of events: the one they are written with, and those of earlier releases. A stream has to know
    them when it begins. Raises StoreUnavailable."""
    from kafka_ingest.registry import FIRST_SHIPPED_ID, SHIPPED_DIRECTORY
    from kafka_ingest.wire import event_schema, subject

    files = SHIPPED_DIRECTORY.glob("*_banner_event.avsc")
    shipped = {FIRST_SHIPPED_ID + int(path.name.partition("_")[0]): path.read_text("utf-8") for path in files}
    return shipped | {schemas.schema_id(subject(topic), event_schema()): event_schema()}


def _checkpoint(given: argparse.Namespace) -> Path | None:
    """Files are named by batches, which begin anew without a checkpoint and would take the place of earlier ones."""
    found: Path | None = given.checkpoint
    return given.output / "_checkpoint" if found is None and given.to == "parquet" else found


def rates(events: "DataFrame", window_minutes: int, delay_minutes: int) -> "DataFrame":
    """A stream of events to one row for each window, slot, city and banner: served, clicks, ctr."""
    from pyspark.sql import functions as f

    from spark_jobs.folding import accepted

    is_click = f.col("kind") == "clicked"
    once = accepted(events).withWatermark("received_at", f"{delay_minutes} minutes")
    once = once.where(is_click | (f.col("kind") == "served")).dropDuplicatesWithinWatermark(["impression_id", "kind"])
    grouped = once.groupBy(f.window("received_at", f"{window_minutes} minutes"), "tenant", "slot", "city", "banner")
    sums = grouped.agg(f.count_if(~is_click).alias("served"), f.count_if(is_click).alias("clicks"))
    times = sums.select(f.col("window.start").alias("start"), f.col("window.end").alias("end"), "*").drop("window")
    return times.withColumn("ctr", f.try_divide("clicks", "served"))


class Usual:
    """What the store's counts of the last days say, asked for again every ten minutes."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[Place, tuple[float, Mapping[tuple[str, str], tuple[int, int]]]] = {}

    def of(self, tenant: str, slot: str, city: str, banner: str) -> tuple[int, int]:
        """(clicks, served) of the days before today. Raises StoreUnavailable."""
        now, place = self._clock(), (tenant, slot)
        if place not in self._known or now > self._known[place][0] + KNOWN_SECONDS:
            self._known[place] = now, self._read(place, int(now // DAY_SECONDS))
        return self._known[place][1].get((city, banner), (0, 0))

    def _read(self, place: Place, today: int) -> dict[tuple[str, str], tuple[int, int]]:
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for row in self._store.counts(*place, today - USUAL_DAYS, today - 1):
            clicks, served = sums.get((row.city, row.banner), (0, 0))
            sums[row.city, row.banner] = clicks + row.clicks, served + row.served
        return sums


class Sink:
    """Where finished windows go."""

    def __init__(self, given: argparse.Namespace, zone: str, usual: Usual, kafka: Mapping[str, str]) -> None:
        self._given = given
        self._zone = ZoneInfo(zone)
        self._usual = usual
        self._kafka = kafka

    def write(self, windows: "DataFrame", batch: int) -> None:
        """Called by Spark with the windows that ended: as many rows as there are banners in cities."""
        windows = windows.persist()
        try:
            if self._given.to == "parquet":
                windows.write.mode("overwrite").parquet(str(self._given.output / f"batch={batch}"))
            elif self._given.to == "topic":
                _write_topic(windows, self._kafka, self._given.topic)
            for row in windows.orderBy("start", "tenant", "slot", "city", "banner").toLocalIterator():
                self._show(row)
        finally:
            windows.unpersist()

    def _show(self, row: "Row") -> None:
        found = alarm(row.clicks, row.served, *self._usual.of(row.tenant, row.slot, row.city, row.banner))
        place = f"{row.tenant} {row.slot} {row.city} {row.banner}"
        # Spark hands times over without their zone, which is that of the session.
        start = row.start.replace(tzinfo=ZoneInfo("UTC")).astimezone(self._zone)
        if self._given.to == "console":
            ctr = "" if row.ctr is None else f" {row.ctr:7.2%}"
            print(f"{start:%Y-%m-%d %H:%M %z}  {place}  {row.served:,} served  {row.clicks:,} clicks{ctr}", flush=True)
        if found:
            print(f"{start:%Y-%m-%d %H:%M %z}  ALARM {place}: {found}", flush=True)


def _write_topic(windows: "DataFrame", kafka: Mapping[str, str], topic: str) -> None:
    from pyspark.sql import functions as f

    value = f.to_json(f.struct(*windows.columns)).alias("value")
    windows.select(value).write.format("kafka").options(**kafka, topic=topic).save()


class Unread:
    """Says how many messages each batch left out."""

    def __init__(self, query: "StreamingQuery") -> None:
        self._query = query
        self._looked_at = -1

    def look(self) -> None:
        """At the batches since the last time."""
        for progress in self._query.recentProgress:
            if progress["batchId"] > self._looked_at:
                self._looked_at = progress["batchId"]
                messages = progress.get("observedMetrics", {}).get(UNREAD, {}).get("messages", 0)
                if messages:
                    print(f"left out: {messages:,} messages that are no event this release knows", file=sys.stderr)


def _check(given: argparse.Namespace) -> None:
    for name, value, most in (
        ("--window", given.window, 1440),
        ("--delay", given.delay, 1440),
        ("--every", given.every, 3600),
    ):
        if not 1 <= value <= most:
            raise BadInput(f"{name}: a whole number from 1 to {most}")
    if given.to == "parquet" and given.output is None:
        raise BadInput("--to parquet needs --output, a directory")
    if given.to == "topic" and not given.topic:
        raise BadInput("--to topic needs --topic, the name of one that is there")


def _parser() -> argparse.ArgumentParser:
    parser = job.parser("spark_jobs.live_ctr", __doc__)
    parser.add_argument("--window", type=int, default=5, metavar="MINUTES", help="length of a window (default: 5)")
    parser.add_argument("--delay", type=int, default=2, metavar="MINUTES", help="how late events may be (default: 2)")
    parser.add_argument("--every", type=int, default=10, metavar="SECONDS", help="how often to look (default: 10)")
    parser.add_argument("--from-start", action="store_true", help="begin with the oldest event of the topic")
    parser.add_argument("--to", choices=("console", "parquet", "topic"), default="console")
    parser.add_argument("--output", type=Path, help="directory, with --to parquet")
    parser.add_argument("--topic", default="", help="with --to topic")
    parser.add_argument(
        "--checkpoint", type=Path, help="directory from which it goes on after a restart (with parquet: in --output)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

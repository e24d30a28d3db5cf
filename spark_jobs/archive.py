"""Copy the clickstream from Kafka into the archive, for good and exactly once.

    python -m spark_jobs.archive --available-now    everything there is, then end (for cron)
    python -m spark_jobs.archive                    go on until SIGTERM, writing every archive.trigger_seconds

Parquet files below tenant=.../day=.../city=..., in archive.directory. A batch is written aside and then moved into
place under names made of its number, so a batch that is done again after a crash replaces itself. Messages that are
no event go to _undecodable, with the reason. Run one at a time. `python -m commands.tidy_archive` merges small files.

Exit codes: 0 done or (without --available-now) told to end, 1 cannot go on, 2 wrong arguments, settings or archive,
143 told to end before everything was archived.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_ingest.registry import Schemas
from settings import Settings
from spark_jobs import job
from storage.archive import PARTITION_COLUMNS, STAGING, ArchiveDirectory, ArchiveError, Manifest
from storage.stream_checkpoint import end_offsets, file_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

ONE_AT_A_TIME = "_archiving"
MAX_BATCH_RECORDS = 500_000
"""Messages in one batch at most, so that a long backlog needs no more memory than a short one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; see above."""
    return job.run("archive", _parser().parse_args(arguments), _work)


def _work(given: argparse.Namespace, settings: Settings, open_session: "Callable[..., SparkSession]") -> int:
    from kafka_ingest.opening import options, schemas
    from spark_jobs.topic import kafka_options

    archive = ArchiveDirectory(settings.archive_directory)
    _prepare(archive, settings)
    with archive.alone(ONE_AT_A_TIME):
        spark = open_session(connectors=True)
        reader = spark.readStream.format("kafka").options(**kafka_options(options(settings)))
        messages = reader.options(
            subscribe=settings.kafka.topic, startingOffsets="earliest", maxOffsetsPerTrigger=MAX_BATCH_RECORDS
        ).load()
        trigger = (
            {"availableNow": True}
            if given.available_now
            else {"processingTime": f"{settings.archive.trigger_seconds} seconds"}
        )
        writer = Writer(archive, schemas(settings))
        query = (
            messages.writeStream.option("checkpointLocation", str(archive.checkpoint))
            .foreachBatch(writer.write)
            .trigger(**trigger)
            .start()
        )
        return _wait(query, archive, writer, job.STOPPED if given.available_now else job.DONE)


class Writer:
    """Puts one batch after the other into the archive."""

    def __init__(self, archive: ArchiveDirectory, schemas: Schemas) -> None:
        self._archive = archive
        self._schemas = schemas
        self.events = 0
        self.undecodable = 0

    def write(self, batch: "DataFrame", number: int) -> None:
        """Called by Spark for each batch, and again with the same messages for one that was not committed."""
        from spark_jobs.topic import decode

        name = file_name(self._id(), number)
        messages = batch.select("partition", "offset", "value").persist()
        try:
            decoded = decode(messages, self._schemas)
            self.events += self._put_events(decoded.events, name)
            self.undecodable += self._put_undecodable(decoded.undecodable, name)
        finally:
            messages.unpersist()
        print(f"batch {number}: {self.events:,} events archived, {self.undecodable:,} undecodable", flush=True)

    def _id(self) -> str:
        """Of the query, as its checkpoint has it: the first batch may begin before the query was returned."""
        return str(json.loads((self._archive.checkpoint / "metadata").read_text("utf-8"))["id"])

    def _put_events(self, events: "DataFrame", name: str) -> int:
        staged = self._staged(name)
        # One task writes a whole directory, so that a batch makes one file in each.
        rows = events.repartition(*PARTITION_COLUMNS)
        rows.write.mode("overwrite").partitionBy(*PARTITION_COLUMNS).parquet(str(staged))
        moved = sum(self._move(path, staged, name) for path in staged.rglob("*.parquet"))
        shutil.rmtree(staged)
        return moved

    def _put_undecodable(self, messages: "DataFrame", name: str) -> int:
        self._archive.undecodable.mkdir(mode=0o700, exist_ok=True)
        target = self._archive.undecodable / f"{name}.parquet"
        target.unlink(missing_ok=True)
        staged = self._staged(f"{name}-undecodable")
        messages.coalesce(1).write.mode("overwrite").parquet(str(staged))
        rows = 0
        for path in staged.glob("*.parquet"):
            rows = _rows(path)
            if rows:
                path.replace(target)
        shutil.rmtree(staged)
        return rows

    def _move(self, path: Path, staged: Path, name: str) -> int:
        target = self._archive.path / path.parent.relative_to(staged) / f"{name}.parquet"
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rows = _rows(path)
        path.replace(target)
        return rows

    def _staged(self, name: str) -> Path:
        return self._archive.path / STAGING / name


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _prepare(archive: ArchiveDirectory, settings: Settings) -> None:
    """Make the archive, or see that it goes on from the same topic. Raises ArchiveError, BadInput,
    StoreUnavailable."""
    from kafka_ingest.epoch_topic import CannotCount, log_starts, read_topic
    from kafka_ingest.opening import options

    topic = settings.kafka.topic
    try:
        state = read_topic(options(settings), topic)
    except CannotCount as error:
        raise job.BadInput(str(error)) from error
    begins = log_starts(options(settings), topic, state.partitions)
    made = Manifest(
        topic=topic,
        topic_id=state.id,
        begins={str(shard): offset for shard, offset in begins.items()},
        complete_since_us=time.time_ns() // 1000 if any(begins.values()) else 0,
    )
    found = archive.create(made)
    if (found.topic, found.topic_id) != (topic, state.id):
        raise ArchiveError(
            f"the archive at {archive.path} is of {_origin(found)}, and kafka.topic is now {_origin(made)}: offsets "
            "would be mixed up; give this topic an archive.directory of its own"
        )
    if archive.files() and not archive.checkpoint.exists():
        raise ArchiveError(f"{archive.checkpoint} is missing: every event would be archived again; restore it")


def _origin(manifest: Manifest) -> str:
    return f"topic {manifest.topic} ({manifest.topic_id})" if manifest.topic else "the embedded store"


def _wait(query: "StreamingQuery", archive: ArchiveDirectory, writer: Writer, when_stopped: int) -> int:
    code = job.DONE if job.wait(query) else when_stopped
    ends = end_offsets(archive.checkpoint)
    print(job.table(sorted(ends.items()), ("shard", "archived up to")))
    print(f"{writer.events:,} events, {writer.undecodable:,} undecodable messages in {archive.path}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = job.parser("spark_jobs.archive", __doc__)
    parser.add_argument("--available-now", action="store_true", help="end when all that is there now is archived")
    return parser


if __name__ == "__main__":
    sys.exit(main())

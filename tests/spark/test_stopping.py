"""SIGTERM (or Ctrl-C) in the middle of every job: it ends with the exit code that is documented, and leaves nothing
half-written."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from bandit.event import BannerEvent, encode
from kafka_ingest.registry import ShippedSchemas
from kafka_ingest.wire import event_schema, frame
from services.kafka import Kafka
from settings import ROOT
from storage.archive import ArchiveDirectory
from storage.cassandra_epochs import epochs
from storage.cassandra_session import CassandraOptions
from storage.sqlite import SqliteStore
from tests.counting.group import Place
from tests.kafka.topic import Topic
from tests.service_process import wait_until
from tests.spark.front_door import environment, files_below
from tests.spark.quick import QUICK_JOB
from tests.spark.stack import Jobs
from tests.storage.archived import archive_of, read, some_events, stamped
from tests.storage.events import DAY, Log

STOPPED = 128 + signal.SIGTERM
SECONDS = 180
EVENTS = some_events(400)
SOON = {"archive_trigger_seconds": 1, "spark_options": QUICK_JOB}
NOTHING_IN_PART = "stopped; nothing was written in part"


class Running:
    """A job as a process of its own."""

    def __init__(self, module: str, environ: dict[str, str], log: Path, *arguments: str) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"spark_jobs.{module}", *arguments],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def writers(self) -> list[str]:
        """The processes that have its log for their output: it, and its Java."""
        found = []
        for link in Path("/proc").glob("[0-9]*/fd/1"):
            with suppress(OSError):
                if link.readlink() == self._log.resolve():
                    found.append(link.parts[2])
        return found

    def stop_when(self, condition: Callable[[], bool], what: str, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        try:
            wait_until(lambda: condition() or self.process.poll() is not None, what, SECONDS)
            assert self.process.poll() is None, self.said
            self.process.send_signal(number)
            code = self.process.wait(SECONDS)
            wait_until(lambda: not self.writers(), "Java has ended too", SECONDS)
            return code
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def embedded(tmp_path: Path) -> dict[str, str]:
    made = environment(tmp_path, spark_options=QUICK_JOB)
    archive_of(tmp_path / "data" / "archive", EVENTS)
    return made


@contextmanager
def unchanged(directory: Path) -> Iterator[None]:
    before = files_below(directory)
    yield
    assert {name: size for name, size in files_below(directory).items() if name != "log"} == before


def is_clean(said: str) -> bool:
    """Whether nothing but lines for people is said."""
    return "Traceback" not in said and "Exception" not in said


def test_a_filter_that_is_writing(embedded: dict[str, str], tmp_path: Path) -> None:
    output, partial = tmp_path / "out", tmp_path / "out.partial"
    given = ("--tenant", "shop", "--city", "Pune", "--format", "csv", "--output", str(output))
    with unchanged(tmp_path):
        job = Running("clickstream_by_city", embedded, tmp_path / "log", *given)
        code = job.stop_when(partial.exists, "it writes")
        assert code == STOPPED and NOTHING_IN_PART in job.said and is_clean(job.said), job.said


def test_a_clustering(embedded: dict[str, str], tmp_path: Path) -> None:
    """By Ctrl-C, for which Spark has a handler of its own."""
    with unchanged(tmp_path):
        job = Running(
            "segments",
            embedded,
            tmp_path / "log",
            "--tenant",
            "shop",
            "--most",
            "20",
            "--output",
            str(tmp_path / "out"),
        )
        code = job.stop_when(lambda: "2 segments: silhouette" in job.said, "it clusters", signal.SIGINT)
        assert code == STOPPED and NOTHING_IN_PART in job.said and is_clean(job.said), job.said
    store = SqliteStore.open(tmp_path / "data" / "banner.db")
    assert list(store.customer_segments("shop")) == []
    store.close()


def test_a_recount_that_publishes(tmp_path: Path) -> None:
    embedded = environment(tmp_path, spark_options=QUICK_JOB)
    store = SqliteStore.open(tmp_path / "data" / "banner.db")
    assert store.deliver(Log().records(*EVENTS[:50])) == []
    before = store.counts("shop", "home", 0, 2 * DAY)
    job = Running("recount", embedded, tmp_path / "log", "--publish")
    code = job.stop_when(lambda: "Spark starts" in job.said, "Spark starts")
    assert code == STOPPED and NOTHING_IN_PART in job.said and is_clean(job.said), job.said
    assert store.counts("shop", "home", 0, 2 * DAY) == before
    store.close()


def test_a_recount_that_fills_an_epoch_leaves_the_live_one_and_the_next_run_publishes(
    kafka: Kafka, keyspace: CassandraOptions, spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, kafka, keyspace, partitions=1)
    try:
        put(place.topic, *EVENTS)
        place.consumer()
        place.wait_until_counted(len(EVENTS))
        jobs = Jobs(place, spark, spark_options=QUICK_JOB)
        job = Running("recount", jobs.environment, tmp_path / "log", "--publish", "--source", "topic")
        code = job.stop_when(lambda: "filling" in states(place), "an epoch is being filled")
        assert code == STOPPED and NOTHING_IN_PART in job.said and is_clean(job.said), job.said
        first = place.epoch.number
        assert states(place) == {"active": [first], "filling": [first + 1]}
        assert jobs.recount(publish=True, source="topic") == 0
        # Against the live epoch, that the other run left as it was.
        assert f"epoch {first + 2} is filled and published; 0 differences" in capsys.readouterr().out
        assert states(place) == {"retired": [first], "filling": [first + 1], "active": [first + 2]}
    finally:
        place.close()


def states(place: Place) -> dict[str, list[int]]:
    """State -> numbers of the epochs that are in it."""
    found: dict[str, list[int]] = {}
    for epoch in epochs(place.session):
        found.setdefault(epoch.state, []).append(epoch.number)
    return found


@pytest.fixture
def topic(kafka: Kafka) -> Topic:
    made = Topic(kafka.bootstrap, partitions=1).create()
    put(made, *EVENTS)
    return made


def put(topic: Topic, *events: BannerEvent, first: int = 1) -> None:
    schema_id = ShippedSchemas().schema_id(topic.name, event_schema())
    topic.put(*(frame(schema_id, encode(stamped(number, event))) for number, event in enumerate(events, first)))


def test_archiving_is_ended_in_a_batch_or_between_two_and_goes_on_from_there(topic: Topic, tmp_path: Path) -> None:
    made = environment(tmp_path, kafka_bootstrap=topic.bootstrap, kafka_topic=topic.name, **SOON)
    archive = ArchiveDirectory(tmp_path / "data" / "archive")
    staging = archive.path / "_staging"
    job = Running("archive", made, tmp_path / "log", "--available-now")
    code = job.stop_when(lambda: any(staging.glob("*/*")), "a batch is being written")
    # It was to archive everything, and maybe has not; without --available-now nothing else is expected of it.
    assert code == STOPPED and is_clean(job.said), job.said
    put(topic, EVENTS[0], first=len(EVENTS) + 1)
    job = Running("archive", made, tmp_path / "log")
    code = job.stop_when(lambda: bool(re.search(r"^batch \d", job.said, re.MULTILINE)), "a batch is archived")
    assert code == 0 and "archived up to" in job.said and is_clean(job.said), job.said
    assert sorted(read(archive)["log_offset"]) == list(range(len(EVENTS) + 1))
    assert not [path for path in files_below(tmp_path) if "_staging" in path]


def test_live_rates(topic: Topic, tmp_path: Path) -> None:
    made = environment(tmp_path, kafka_bootstrap=topic.bootstrap, kafka_topic=topic.name, **SOON)
    output = tmp_path / "live"
    given = ("--from-start", "--every", "1", "--to", "parquet", "--output", str(output))
    job = Running("live_ctr", made, tmp_path / "log", *given)
    code = job.stop_when(lambda: any((output / "_checkpoint" / "commits").glob("[0-9]*")), "a batch is done")
    assert code == 0 and is_clean(job.said), job.said

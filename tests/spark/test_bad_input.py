"""What is wrong with an archive, a store or a topic: one clear line, exit code 2, and nothing is written."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

pytest.importorskip("pyspark")

from services.kafka import Kafka
from spark_jobs import archive, clickstream_by_city, live_ctr, recount, segments
from storage.archive import MANIFEST
from storage.sqlite import SqliteStore
from tests.kafka.topic import Topic
from tests.spark.front_door import environment, files_below, run
from tests.storage.archived import archive_of, some_events
from tests.storage.events import Log

EVENTS = some_events(60)


class Job(NamedTuple):
    """A job and arguments that are right."""

    module: ModuleType
    arguments: tuple[str, ...]


CITY = Job(clickstream_by_city, ("--tenant", "shop", "--city", "Pune", "--format", "csv", "--output", "OUT"))
SEGMENTS = Job(segments, ("--tenant", "shop", "--output", "OUT"))
RECOUNT = Job(recount, ("--publish",))
READERS = {"clickstream_by_city": CITY, "segments": SEGMENTS, "recount": RECOUNT}


class Refused:
    """Runs jobs that must end with one line and exit code 2, over an archive of some events."""

    def __init__(self, spark: Any, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.environment = environment(directory)
        self.archive = archive_of(directory / "data" / "archive", EVENTS)
        with closing(SqliteStore.open(directory / "data" / "banner.db")) as store:
            assert store.deliver(Log().records(*EVENTS)) == []
        self._spark = spark
        self._capsys = capsys

    def line(self, one: Job, *more: str, **settings: str) -> str:
        """What it says, having written nothing."""
        before = files_below(self.directory)
        given = [str(self.directory / "out") if text == "OUT" else text for text in (*one.arguments, *more)]
        environ = self.environment | {f"BANNER_{name.upper()}": value for name, value in settings.items()}
        assert run(one.module, self._spark, environ, *given) == 2, self._capsys.readouterr()
        assert files_below(self.directory) == before
        said = self._capsys.readouterr().err.splitlines()
        assert len(said) == 1, said
        return said[0]


@pytest.fixture
def refused(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return Refused(spark, tmp_path, capsys)


@pytest.mark.parametrize("name", READERS)
def test_a_manifest_that_is_damaged_or_of_a_newer_release(refused: Refused, name: str) -> None:
    path = refused.archive.path / MANIFEST
    ours = path.read_text()
    for text, said in (
        (ours.replace('"format": 1', '"format": 9'), "has format 9, and this release reads up to 1"),
        (ours.replace('"topic"', '"tropic"'), "cannot be read"),
        ("[]", "cannot be read"),
    ):
        path.write_text(text)
        assert said in refused.line(READERS[name])


@pytest.mark.parametrize("name", READERS)
def test_a_store_of_a_newer_release(refused: Refused, name: str) -> None:
    with closing(sqlite3.connect(refused.directory / "data" / "banner.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "start the newer release" in refused.line(READERS[name])


def test_an_archive_that_is_not_there_is_said_by_all_that_do_not_make_it(refused: Refused) -> None:
    for one in (CITY, SEGMENTS):
        assert "there is no archive at" in refused.line(one, archive_directory=str(refused.directory / "nowhere"))


def test_days_of_which_nothing_is_there(refused: Refused) -> None:
    for one in (CITY, SEGMENTS):
        assert "none of what is asked for" in refused.line(one, "--from", "2019-01-01", "--to", "2019-12-31")
        assert "no day lies between" in refused.line(one, "--from", "2026-06-02", "--to", "2026-06-01")


def test_outputs_that_are_there_already_are_not_touched(refused: Refused) -> None:
    (refused.directory / "out").mkdir()
    (refused.directory / "out" / "mine").touch()
    for one in (CITY, SEGMENTS):
        assert "is there already; nothing is overwritten" in refused.line(one)


def cut_short(whole: bytes) -> bytes:
    return whole[:-20]


def rubbish_in_a_page(whole: bytes) -> bytes:
    return whole[:4] + bytes(byte ^ 0xFF for byte in whole[4:60]) + whole[60:]


def rubbish_at_its_end(whole: bytes) -> bytes:
    return whole[:-400] + bytes(byte ^ 0xFF for byte in whole[-400:-8]) + whole[-8:]


def nothing(whole: bytes) -> bytes:
    return whole[:0]


DAMAGES = (cut_short, rubbish_in_a_page, rubbish_at_its_end, nothing)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_named(refused: Refused, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = sorted(refused.archive.path.glob("tenant=shop/day=*/city=Pune/*.parquet"))[0]
    path.write_bytes(damage(path.read_bytes()))
    line = refused.line(READERS[name])
    assert "cannot be read" in line and f"{path.parent.name}/{path.name}" in line


def test_a_column_of_another_type_is_named(refused: Refused) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = sorted(refused.archive.path.glob("tenant=shop/day=*/city=Pune/*.parquet"))[0]
    table = pq.ParquetFile(path).read()
    number = table.schema.get_field_index("kind")
    pq.write_table(table.set_column(number, "kind", pa.array([1.5] * len(table))), path)
    assert path.name in refused.line(CITY)


def test_wrong_arguments_of_each_job(refused: Refused) -> None:
    nobody = ("--tenant", "nobody")
    assert "there is no nobody; there are: shop" in refused.line(Job(segments, nobody))
    assert "--most" in refused.line(SEGMENTS, "--most", "1")
    assert "counts from no topic" in refused.line(RECOUNT, "--source", "topic")
    assert "give both, or neither" in refused.line(RECOUNT, "--exclude-from", "2026-06-13")


def test_a_topic_that_is_not_there_or_another_than_before(refused: Refused, kafka: Kafka) -> None:
    reach = {"kafka_bootstrap": kafka.bootstrap}
    for module in (archive, live_ctr):
        line = refused.line(Job(module, ()), kafka_topic="nowhere", **reach)
        assert "topic nowhere cannot be read" in line and "python -m kafka_ingest.topics" in line
    topic = Topic(kafka.bootstrap, partitions=1).create()
    line = refused.line(Job(archive, ()), kafka_topic=topic.name, **reach)
    assert "is of the embedded store, and kafka.topic is now" in line and "archive.directory of its own" in line

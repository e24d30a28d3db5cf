import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from bandit.model import Kind, Verdict
from services.kafka import Kafka
from spark_jobs.cassandra import clicks
from storage.cassandra_session import COUNTING, CassandraOptions
from tests.counting.crashing_consumer import BETWEEN_ROWS
from tests.counting.group import Place
from tests.distributed.installed import records_in
from tests.service_process import wait_until
from tests.spark.shoppers import FIRST_DAY, Shoppers, Streamed
from tests.spark.stack import Jobs

PARTITIONS, EVENTS = 3, 200_000
DAY = FIRST_DAY + 1


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, keyspace: CassandraOptions) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"), kafka, keyspace, partitions=PARTITIONS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shoppers(place: Place) -> Iterator[Shoppers]:
    """What they did came through HTTP, journal, Kafka and a consumer into Cassandra; the consumer goes on."""
    made = Shoppers(place.directory, Streamed(place), EVENTS)
    place.consumer()
    made.visit(EVENTS)
    settle(place)
    yield made
    made.close()


@pytest.fixture(scope="module")
def jobs(place: Place, compiled_spark: Any, shoppers: Shoppers) -> Jobs:
    made = Jobs(place, compiled_spark)
    made.archive_now()
    return made


def settle(place: Place) -> None:
    """Wait until all of the topic is counted."""
    place.wait_until_counted(records_in(place))


def test_all_that_was_answered_for_is_counted(shoppers: Shoppers) -> None:
    assert shoppers.repeated > EVENTS / 100
    assert {event.verdict for event in shoppers.events} >= {Verdict.ACCEPTED, Verdict.LATE, Verdict.BOT}
    assert shoppers.complaints() == []


def test_the_archive_is_counted_as_the_consumers_counted_the_log(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert jobs.recount() == 0
    said = capsys.readouterr().out
    assert "0 differences found" in said and "days kept as counted: none" in said


def test_the_topic_says_the_same_as_the_archive(jobs: Jobs) -> None:
    assert jobs.recount(source="topic") == 0


def test_clicks_of_a_city_are_found_by_partition_key(jobs: Jobs, shoppers: Shoppers) -> None:
    found = clicks(jobs.spark, jobs.place.cassandra.keyspace, "shop", ["pune", "agra"], [DAY])
    plan = found._jdf.queryExecution().executedPlan().toString()
    assert "Cassandra Filters: [[tenant" in plan.replace('[["', "[[") or "tenant = ?" in plan.replace('"', "")
    wanted = {
        event.impression_id
        for event in shoppers.events
        if (event.kind, event.verdict) == (Kind.CLICKED, Verdict.ACCEPTED)
        and (event.tenant, event.day) == ("shop", DAY)
        and event.city in ("pune", "agra")
    }
    assert {bytes(row.impression_id) for row in found.select("impression_id").collect()} == wanted


def test_a_corrupted_row_is_found_and_healed_and_counting_goes_on(
    jobs: Jobs, place: Place, shoppers: Shoppers, capsys: pytest.CaptureFixture[str]
) -> None:
    old = place.epoch
    corrupt(place)
    assert jobs.recount() == 1
    said = capsys.readouterr().out
    assert "1 differences found" in said and "counted 999 served" in said
    (late,) = place.consumers
    assert late.stop() == 0
    shoppers.visit(2_000)
    late = place.consumer(
        module="tests.counting.crashing_consumer",
        CRASH_AT=BETWEEN_ROWS,
        CRASH_SIGNAL="SIGSTOP",
        CRASH_MARKER=str(place.directory / "stands still"),
        BROKEN="nothing",
    )
    wait_until((place.directory / "stands still").exists, "half of the rows of the old epoch, and not its progress", 60)
    jobs.archive_now()
    assert jobs.recount(publish=True) == 0
    place.epoch = old._replace(number=old.number + 1)
    place.consumer()
    settle(place)
    assert shoppers.complaints() == []
    before = place.positions(old.number)
    late.signal(signal.SIGCONT)
    wait_until(lambda: place.positions(old.number) != before, "progress in the old epoch", 60)
    shoppers.visit(1_000)
    shoppers.click_again(600)
    settle(place)
    assert shoppers.complaints() == []
    jobs.archive_now()
    assert jobs.recount() == 0


def corrupt(place: Place) -> None:
    """A row of the live epoch that says something else, at the offset it has."""
    key = "tenant, slot, day, epoch, policy, city, banner, shard"
    (row, *_) = place.session.run(
        f"""SELECT {key}, viewed, clicks, last_offset FROM counts
            WHERE tenant = ? AND slot = ? AND day = ? AND epoch = ?""",
        ("shop", "home", DAY, place.epoch.number),
        COUNTING,
    )
    place.session.run(
        f"""INSERT INTO counts ({key}, viewed, clicks, last_offset, served)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 999)""",
        row,
        COUNTING,
    )


def test_an_archive_that_is_behind_the_consumers_is_said(
    place: Place, compiled_spark: Any, jobs: Jobs, tmp_path: Path
) -> None:
    from spark_jobs.job import BadInput

    late = Jobs(place, compiled_spark, archive_directory=tmp_path / "late")
    late.archive.create(jobs.archive.manifest())
    late.archive.checkpoint.mkdir()
    with pytest.raises(BadInput, match="--available-now"):
        late.recount()

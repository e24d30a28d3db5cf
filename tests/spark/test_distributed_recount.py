import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from services.kafka import Kafka
from spark_jobs.cassandra import clicks
from storage.cassandra_session import COUNTING, CassandraOptions
from tests.counting.counted import complaints
from tests.counting.group import Place
from tests.counting.traffic import Traffic, shuffled_in
from tests.spark.stack import Jobs
from tests.storage.events import DAY

PARTITIONS, EVENTS = 3, 20_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, keyspace: CassandraOptions) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"), kafka, keyspace, partitions=PARTITIONS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(random.Random(7), PARTITIONS)


@pytest.fixture(scope="module")
def counted(place: Place, traffic: Traffic) -> int:
    """Records that a consumer has counted; it goes on running."""
    events = traffic.events(EVENTS)
    log = shuffled_in(random.Random(8), events, [*traffic.copies(500), *traffic.repeated_clicks(500)])
    place.writer.write(log)
    place.consumer()
    place.wait_until_counted(len(log))
    return len(log)


@pytest.fixture(scope="module")
def jobs(place: Place, spark: Any, counted: int) -> Jobs:
    made = Jobs(place, spark)
    made.archive_now()
    return made


def test_the_archive_is_counted_as_the_consumers_counted_the_log(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert jobs.recount() == 0
    said = capsys.readouterr().out
    assert "0 differences found" in said and "days kept as counted: none" in said


def test_the_topic_says_the_same_as_the_archive(jobs: Jobs) -> None:
    assert jobs.recount(source="topic") == 0


def test_clicks_of_a_city_are_found_by_partition_key(jobs: Jobs, traffic: Traffic) -> None:
    found = clicks(jobs.spark, jobs.place.cassandra.keyspace, "shop", ["Pune", "Agra"], [DAY])
    plan = found._jdf.queryExecution().executedPlan().toString()
    assert "Cassandra Filters: [[tenant" in plan.replace('[["', "[[") or "tenant = ?" in plan.replace('"', "")
    wanted = {
        impression
        for impression, click in traffic.clicks.items()
        if (click.tenant, click.day) == ("shop", DAY) and click.city in ("Pune", "Agra")
    }
    assert {bytes(row.impression_id) for row in found.select("impression_id").collect()} == wanted


def test_a_corrupted_row_is_found_and_healed_and_counting_goes_on(
    jobs: Jobs, place: Place, traffic: Traffic, counted: int, capsys: pytest.CaptureFixture[str]
) -> None:
    old = place.epoch
    corrupt(place)
    assert jobs.recount() == 1
    said = capsys.readouterr().out
    assert "1 differences found" in said and "counted 999 served" in said
    assert jobs.recount(publish=True) == 0
    place.epoch = old._replace(number=old.number + 1)
    assert complaints(place.session, place.epoch.number, traffic) == []
    assert sum(place.positions().values()) == counted
    more = traffic.events(1_000)
    again = traffic.repeated_clicks(300)
    copies = random.Random(9).choices(traffic.stamped[:EVENTS], k=300)
    place.writer.write([*more, *again, *copies])
    place.wait_until_counted(counted + 1_600)
    assert complaints(place.session, place.epoch.number, traffic) == []
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


def test_an_archive_that_is_behind_the_consumers_is_said(place: Place, spark: Any, jobs: Jobs, tmp_path: Path) -> None:
    from spark_jobs.job import BadInput

    late = Jobs(place, spark, archive_directory=tmp_path / "late")
    late.archive.create(jobs.archive.manifest())
    late.archive.checkpoint.mkdir()
    with pytest.raises(BadInput, match="--available-now"):
        late.recount()

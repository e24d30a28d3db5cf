"""What people get of a city: which events, in which form, and the figures of its banners."""

import csv
import time
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

pytest.importorskip("pyspark")

from bandit.event import BannerEvent, encode
from bandit.zone import day_of
from kafka_ingest.registry import ShippedSchemas
from kafka_ingest.wire import event_schema, frame
from services.kafka import Kafka
from spark_jobs import clickstream_by_city
from storage.archive import ArchiveDirectory
from tests.kafka.topic import Topic
from tests.spark.front_door import SHOP, environment, run
from tests.storage.archived import archive_of, read
from tests.storage.events import NOON_US, clicked, served, viewed

SCHEMA_ID = ShippedSchemas().schema_id("x", event_schema())
HOUR_US = 3_600_000_000
MIDNIGHT_US = NOON_US - (NOON_US + 5 * HOUR_US + HOUR_US // 2) % (24 * HOUR_US)
"""In India, where days begin at 18:30 UTC."""
START_MS = time.time_ns() // 1_000_000 - 3_600_000
"""Lately, or Kafka would forget it."""


def served_at(number: int, when_us: int, **changes: object) -> BannerEvent:
    return served(number, served_at=when_us, day=day_of(when_us, SHOP.time_zone), **changes)


def visits() -> list[BannerEvent]:
    """Around a midnight in India: of `sale` 4 impressions with 2 clicks (one repeated), of `new` 2 without any."""
    day = [served_at(number, MIDNIGHT_US + number * 1000, city="Bengaluru") for number in range(4)]
    new = [served_at(10 + number, MIDNIGHT_US + HOUR_US, city="Pune", banner="new") for number in range(2)]
    before = served_at(20, MIDNIGHT_US - 1, city="Bengaluru")
    elsewhere = served_at(21, MIDNIGHT_US, city="Delhi")
    bot = served_at(22, MIDNIGHT_US, city="Pune", verdict="bot")
    feedback = [viewed(day[2]), clicked(day[0]), clicked(day[1]), clicked(day[1])]
    return [*day, *new, before, elsewhere, bot, *feedback]


@pytest.fixture
def embedded(tmp_path: Path) -> dict[str, str]:
    made = environment(tmp_path)
    archive_of(tmp_path / "data" / "archive", visits())
    return made


def day_in_india() -> str:
    return str(pd.Timestamp(MIDNIGHT_US, unit="us", tz="UTC").tz_convert(SHOP.time_zone).date())


def test_a_day_of_two_cities_is_that_of_the_tenants_zone_however_they_are_written(
    spark: Any, embedded: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("--city", "  BANGALORE", "--city", "poona", "--city", "Bengaluru")
    days = ("--from", day_in_india(), "--to", day_in_india())
    output = ("--format", "csv", "--output", str(tmp_path / "out"))
    assert run(clickstream_by_city, spark, embedded, "--tenant", "shop", *names, *days, *output) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["slot", "banner", "served", "viewed", "clicks", "ctr"]
    assert lines[1:3] == [["home", "new", "2", "0", "0", "0.0000"], ["home", "sale", "4", "3", "2", "0.5000"]]
    rows = [row for path in (tmp_path / "out").glob("*.csv") for row in csv.DictReader(path.open())]
    assert len(rows) == len(visits()) - 2  # without the day before, and without Delhi
    assert {row["city"] for row in rows} == {"Bengaluru", "Pune"}
    assert min(row["served_at"] for row in rows) == f"{day_in_india()}T00:00:00.000000"
    assert {row["day"] for row in rows} == {day_in_india()}
    assert all(len(row["impression_id"]) == 32 for row in rows)


def test_parquet_holds_the_events_as_they_are_archived_and_the_console_shows_them(
    spark: Any, embedded: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pune = ("--tenant", "shop", "--city", "Pune")
    output = ("--format", "parquet", "--output", str(tmp_path / "out"))
    assert run(clickstream_by_city, spark, embedded, *pune, *output) == 0
    expected, found = read(ArchiveDirectory(tmp_path / "data" / "archive")), pd.read_parquet(tmp_path / "out")
    expected = expected[expected["city"] == "Pune"]
    assert sorted(found.columns) == sorted(expected.columns)
    for name in ("log_offset", "impression_id", "served_at", "propensity", "verdict"):
        assert sorted(found[name]) == sorted(expected[name])
    capsys.readouterr()
    assert run(clickstream_by_city, spark, embedded, *pune) == 0
    shown = capsys.readouterr().out
    first = next(event for event in visits() if event.city == "Pune")
    assert first.impression_id.hex() in shown and f"{day_in_india()}T01:00:00" in shown
    assert run(clickstream_by_city, spark, embedded, *pune, "--slot", "cart") == 2


class Written(NamedTuple):
    """A topic of two logs: one of ten messages, one second after the other; one that ends after the fourth."""

    topic: Topic
    environment: dict[str, str]


@pytest.fixture(scope="module")
def written(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Written:
    topic = Topic(kafka.bootstrap, partitions=2).create()
    for shard, messages in ((0, 10), (1, 4)):
        for number in range(messages):
            event = served_at(number, NOON_US, shard=shard, journal=shard + 1, sequence=number + 1)
            topic.put(frame(SCHEMA_ID, encode(event)), partition=shard, timestamp_ms=START_MS + number * 1000)
    directory = tmp_path_factory.mktemp("topic")
    return Written(topic, environment(directory, kafka_bootstrap=kafka.bootstrap, kafka_topic=topic.name))


def at(seconds: float) -> str:
    return str(pd.Timestamp(START_MS + int(seconds * 1000), unit="ms", tz="UTC").tz_convert(SHOP.time_zone).isoformat())


BETWEEN = {
    "offsets": (('{"0": 3}', '{"0": 7, "1": 2}'), {(0, offset) for offset in range(3, 7)} | {(1, 0), (1, 1)}),
    "times": ((at(2), at(6)), {(0, offset) for offset in range(2, 6)} | {(1, 2), (1, 3)}),
    "a time at which one log has ended": ((at(6.5), "latest"), {(0, offset) for offset in range(7, 10)}),
    "everything": (
        ("earliest", "latest"),
        {(0, offset) for offset in range(10)} | {(1, offset) for offset in range(4)},
    ),
}


@pytest.mark.parametrize("bounds", BETWEEN)
def test_from_a_topic_come_exactly_the_messages_between(
    spark: Any, written: Written, tmp_path: Path, bounds: str
) -> None:
    (starting, ending), expected = BETWEEN[bounds]
    given = ("--source", "topic", "--starting", starting, "--ending", ending)
    output = ("--format", "parquet", "--output", str(tmp_path / "out"))
    place = ("--tenant", "shop", "--city", "Pune")
    assert run(clickstream_by_city, spark, written.environment, *place, *given, *output) == 0
    found = pd.read_parquet(tmp_path / "out")
    assert set(zip(found["shard"], found["log_offset"], strict=True)) == expected
    assert len(found) == len(expected)


NOTHING = {
    "no message of topic": (at(60), "latest"),
    "lies between --starting and --ending": (at(5), at(5)),
    "has no offset 11 in partition 0; it has 10 in 0 (0 to 10), 4 in 1 (0 to 4)": ("earliest", '{"0": 11}'),
    "has no offset 0 in partition 2": ('{"2": 0}', "latest"),
    "nor offsets by partition": ('{"0": "x"}', "latest"),
}


@pytest.mark.parametrize("message", NOTHING)
def test_bounds_between_which_nothing_lies_are_one_clear_line(
    spark: Any, written: Written, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    starting, ending = NOTHING[message]
    given = ("--tenant", "shop", "--city", "Pune", "--source", "topic", "--starting", starting, "--ending", ending)
    assert run(clickstream_by_city, spark, written.environment, *given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_topic_that_is_not_there_is_said_and_so_is_what_is_no_event_in_one(
    spark: Any, kafka: Kafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = Topic(kafka.bootstrap, partitions=1).create()
    event = served_at(1, NOON_US, journal=1, sequence=1)
    topic.put(b"rubbish", frame(77, encode(event)), frame(SCHEMA_ID, encode(event)))
    made = environment(tmp_path, kafka_bootstrap=kafka.bootstrap, kafka_topic=topic.name)
    given = ("--tenant", "shop", "--city", "Pune", "--source", "topic")
    assert run(clickstream_by_city, spark, made, *given) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(line.startswith("left out: 1 messages that are no event") for line in said)
    assert run(clickstream_by_city, spark, made | {"BANNER_KAFKA_TOPIC": "nowhere"}, *given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "topic nowhere cannot be read" in line and "python -m kafka_ingest.topics" in line

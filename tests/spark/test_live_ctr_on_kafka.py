"""Live click rates from a real topic into a topic and into Parquet."""

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("pyspark")

from bandit.event import BannerEvent, encode
from bandit.zone import day_of
from kafka_ingest.registry import FIRST_SHIPPED_ID, ShippedSchemas
from kafka_ingest.wire import event_schema, frame
from services.kafka import Kafka
from spark_jobs import live_ctr
from storage.sqlite import SqliteStore
from tests.kafka.topic import Topic
from tests.spark.front_door import environment, run, run_until
from tests.storage.events import Log, clicked, served

SCHEMA_ID = ShippedSchemas().schema_id("x", event_schema())
MINUTE_US = 60_000_000
NOW_US = time.time_ns() // 1000 // (5 * MINUTE_US) * 5 * MINUTE_US
"""Where a window begins."""
QUICKLY = ("--from-start", "--window", "5", "--delay", "1", "--every", "1")


def put(topic: Topic, *events: BannerEvent) -> None:
    stamped = [event._replace(journal=1, sequence=number) for number, event in enumerate(events, 1)]
    topic.put(*(frame(SCHEMA_ID, encode(event)) for event in stamped))


def a_window(minute: int, impressions: int, clicks: int) -> list[BannerEvent]:
    """Impressions of one minute, and the clicks on the first of them."""
    made = [served(minute * 10_000 + n, served_at=NOW_US + minute * MINUTE_US) for n in range(impressions)]
    return [*made, *map(clicked, made[:clicks])]


@pytest.fixture
def topic(kafka: Kafka) -> Topic:
    return Topic(kafka.bootstrap, partitions=1).create()


@pytest.fixture
def settings(kafka: Kafka, topic: Topic, tmp_path: Path) -> dict[str, str]:
    """Of an installation where the banner was clicked on twice in a hundred times yesterday."""
    made = environment(tmp_path, kafka_bootstrap=kafka.bootstrap, kafka_topic=topic.name)
    usual = [served(n, day=day_of(NOW_US, "UTC") - 1) for n in range(1_000)]
    store = SqliteStore.open(tmp_path / "data" / "banner.db")
    assert store.deliver(Log().records(*usual, *map(clicked, usual[:20]))) == []
    store.close()
    return made


def test_windows_go_into_a_topic_and_alarms_are_lines(
    spark: Any, topic: Topic, settings: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rates = Topic(topic.bootstrap, partitions=1).create()
    topic.put(b"rubbish", frame(FIRST_SHIPPED_ID + 1, encode(served(1, served_at=NOW_US))))
    put(topic, *a_window(1, 300, 60), *a_window(6, 300, 6), *a_window(30, 1, 0))
    arguments = (*QUICKLY, "--to", "topic", "--topic", rates.name)
    assert run_until(lambda: len(rates.messages()) >= 2, live_ctr, spark, settings, *arguments) == 0
    found = sorted((json.loads(one.value or b"") for one in rates.messages()), key=lambda row: row["start"])
    assert [(row["served"], row["clicks"], row["ctr"]) for row in found] == [(300, 60, 0.2), (300, 6, 0.02)]
    place = {"tenant": "shop", "slot": "home", "city": "Pune", "banner": "sale"}
    assert all(row.items() >= place.items() for row in found)
    assert [pd.Timestamp(row["start"]).value // 1000 for row in found] == [NOW_US, NOW_US + 5 * MINUTE_US]
    said = capsys.readouterr()
    (alarm,) = said.out.splitlines()
    assert "ALARM shop home Pune sale: 20.00% of 300 impressions clicked, usually 2.00%" in alarm
    assert sum("left out" in line for line in said.err.splitlines()) == 1


def test_a_second_run_goes_on_where_the_first_ended_and_overwrites_nothing(
    spark: Any, topic: Topic, settings: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "live"
    arguments = (*QUICKLY, "--to", "parquet", "--output", str(output))

    def windows() -> list[tuple[int, int]]:
        frames = [pd.read_parquet(path) for path in output.glob("batch=*/*.parquet")]
        rows = pd.concat(frames) if frames else pd.DataFrame(columns=["served", "clicks"])
        return sorted(zip(rows["served"], rows["clicks"], strict=True))

    put(topic, *a_window(1, 30, 3), *a_window(10, 1, 0))
    assert run_until(lambda: windows() == [(30, 3)], live_ctr, spark, settings, *arguments) == 0
    put(topic, *a_window(11, 40, 4), *a_window(30, 1, 0))
    assert run_until(lambda: len(windows()) == 2, live_ctr, spark, settings, *arguments) == 0
    assert windows() == [(30, 3), (41, 4)]


WRONG = {
    "--window: a whole number from 1 to 1440": ("--window", "0"),
    "--to parquet needs --output": ("--to", "parquet"),
    "--to topic needs --topic": ("--to", "topic"),
    "topic nowhere cannot be read": ("--to", "topic", "--topic", "nowhere"),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input_is_one_clear_line(
    spark: Any, settings: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(live_ctr, spark, settings, *WRONG[message]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line

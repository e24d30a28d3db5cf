from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from bandit.model import Tenant
from bandit.zone import day_of
from spark_jobs.events import DDL
from spark_jobs.live_ctr import Sink, Usual, rates
from storage.sqlite import SqliteStore
from tests.storage.archived import archive_of
from tests.storage.events import NOON_US, Log, clicked, served

MINUTE_US = 60_000_000


def at(minute: float) -> int:
    return NOON_US - NOON_US % (10 * MINUTE_US) + int(minute * MINUTE_US)


def test_each_window_is_shown_once_with_its_clicks_and_alarms(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [served(number, served_at=at(1)) for number in range(300)]
    clicks = [clicked(one) for one in now[:60]]
    later = [served(1000, served_at=at(12)), served(1001, served_at=at(30))]
    # Three pieces of a stream: a click that comes twice, and events that close the window.
    for number, events in enumerate(([*now, *clicks, *clicks[:20]], later[:1], later[1:])):
        archive = archive_of(tmp_path / f"archive-{number}", events, pieces=1)
        for path in archive.files():
            target = tmp_path / "stream" / path.parent.relative_to(archive.path)
            target.mkdir(parents=True, exist_ok=True)
            path.rename(target / f"{number}.parquet")
    store = SqliteStore.open(tmp_path / "banner.db")
    store.put_tenant("shop", Tenant("shop"))
    usual = [served(5000 + number, day=day_of(NOON_US, "UTC") - 2) for number in range(1000)]
    assert store.deliver(Log().records(*usual, *map(clicked, usual[:20]))) == []
    stream = spark.readStream.schema(DDL).option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "stream"))
    sink = Sink(Namespace(to="console"), "UTC", Usual(store, lambda: NOON_US / 1e6), {})
    query = rates(stream, 5, 2).writeStream.outputMode("append").foreachBatch(sink.write)
    query.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(
        availableNow=True
    ).start().awaitTermination()
    said = capsys.readouterr().out
    start = datetime.fromtimestamp(at(0) / 1e6, UTC)
    lines = [line for line in said.splitlines() if line.startswith(f"{start:%Y-%m-%d %H:%M}")]
    assert lines[0].endswith("shop home Pune sale  300 served  60 clicks  20.00%")
    assert "ALARM" in lines[1] and "usually 2.00%" in lines[1] and len(lines) == 2

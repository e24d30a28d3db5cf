import random
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from bandit.event import BannerEvent
from bandit.model import Tenant
from settings import Settings, load
from spark_jobs import segments
from spark_jobs.job import BadInput
from storage.sqlite import SqliteStore
from tests.storage.archived import archive_of
from tests.storage.events import DAY, clicked, served

CUSTOMERS = 40


def visits() -> list[BannerEvent]:
    """Half of the customers come often and click, from Pune; the others come once, from Delhi."""
    rng = random.Random(1)
    events: list[BannerEvent] = []
    for customer in range(CUSTOMERS):
        is_fan = customer % 2 == 0
        for visit in range(rng.randint(8, 12) if is_fan else 1):
            city = "Pune" if is_fan else "Delhi"
            one = served(
                len(events),
                customer=bytes([customer]) * 8,
                city=city,
                day=DAY + visit % 3,
                referrer="mail" if is_fan else None,
            )
            events.append(one)
            if is_fan and visit % 2:
                events.append(clicked(one))
    return events


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config.ini").write_text(f"[data]\ndirectory = {tmp_path / 'data'}\n")
    found = load({}, tmp_path / "config.ini")
    found.paths.make()
    store = SqliteStore.open(found.paths.database)
    store.put_tenant("shop", Tenant("shop"))
    store.close()
    return found


def run(spark: Any, settings: Settings, **given: object) -> int:
    defaults = {"tenant": "shop", "first": None, "last": None, "most": 3, "seed": 1, "output": None, "dry_run": False}
    return segments._work(Namespace(**(defaults | given)), settings, lambda **_: spark)


def test_customers_who_behave_alike_are_one_segment_every_time(spark: Any, settings: Settings, tmp_path: Path) -> None:
    events = visits()
    archive_of(settings.archive_directory, events)
    assert run(spark, settings, output=tmp_path / "csv") == 0
    store = SqliteStore.open(settings.paths.database)
    found = dict(store.customer_segments("shop"))
    fans = {bytes([customer]) * 8 for customer in range(0, CUSTOMERS, 2)}
    assert {customer for customer, segment in found.items() if segment == "s1"} == fans
    assert len(found) == CUSTOMERS
    rows = store.segment_counts("shop", "home", 0, 2 * DAY)
    assert sum(row.served for row in rows) == sum(event.kind == "served" for event in events)
    assert sum(row.clicks for row in rows if row.segment == "s1") == sum(event.kind == "clicked" for event in events)
    lines = [line for path in (tmp_path / "csv").glob("*.csv") for line in path.read_text().splitlines()[1:]]
    assert len(lines) == CUSTOMERS
    assert run(spark, settings) == 0
    assert dict(store.customer_segments("shop")) == found


def test_too_few_customers_are_said(spark: Any, settings: Settings) -> None:
    archive_of(settings.archive_directory, visits()[:5])
    with pytest.raises(BadInput, match="at least 20"):
        run(spark, settings)
    with pytest.raises(BadInput, match="there is no nobody"):
        run(spark, settings, tenant="nobody")

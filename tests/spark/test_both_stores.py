"""Segments, the click table and forgetting, over the embedded store and over a real Cassandra: the same is asserted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

pytest.importorskip("pyspark")

from bandit.event import BannerEvent
from bandit.zone import day_to_date
from commands import forget_customer
from serving.keyring import customer_digest
from serving.secret_file import keyring
from settings import Settings, load
from spark_jobs import clickstream_by_city, segments
from spark_jobs.cassandra import clicks, session_options
from storage.archive import ArchiveDirectory
from storage.cassandra_session import CassandraOptions, CassandraSession
from storage.opening import cassandra_options
from tests.backends import Distributed, Embedded
from tests.spark.front_door import run
from tests.storage.archived import archive_of, read
from tests.storage.events import DAY, Log, clicked, served
from tests.web import flask_side

SECRETS = {"BANNER_SECRETS_TOKEN_KEYS": f"1:{'6b' * 32}", "BANNER_SECRETS_CUSTOMER_KEY": "63" * 32}
CUSTOMERS = 24
KEPT: dict[str, object] = {}
"""What the first store gave, for the second to be compared with."""


class Place(NamedTuple):
    """An installation with the same customers in archive and store."""

    side: flask_side.Side
    environment: dict[str, str]
    settings: Settings

    @property
    def members(self) -> dict[bytes, str]:
        return dict(self.side.store.customer_segments("shop"))


@pytest.fixture(scope="module")
def in_cassandra(keyspace: CassandraOptions) -> Iterator[tuple[CassandraOptions, CassandraSession]]:
    session = CassandraSession(keyspace)
    yield keyspace, session
    session.close()


def hash_of(customer: str) -> bytes:
    keys = keyring(SECRETS["BANNER_SECRETS_TOKEN_KEYS"], SECRETS["BANNER_SECRETS_CUSTOMER_KEY"])
    assert keys is not None
    return customer_digest(keys.customer_key, "shop", customer)[:8]


def visits() -> list[BannerEvent]:
    """Half of the customers come ten times and click every second time, from pune; the others come once."""
    events: list[BannerEvent] = []
    for number in range(CUSTOMERS):
        is_fan = number % 2 == 0
        for visit in range(10 if is_fan else 1):
            city, banner = ("pune", "b1") if is_fan else ("mumbai", "b2")
            one = served(len(events), customer=hash_of(f"c{number}"), city=city, banner=banner, day=DAY + visit % 2)
            events += [one, clicked(one), clicked(one)] if is_fan and visit % 2 else [one]
    return events


@pytest.fixture(params=["embedded", "distributed"])
def place(request: pytest.FixtureRequest, tmp_path: Path, spark: Any) -> Iterator[Place]:
    backend = (
        Embedded(tmp_path)
        if request.param == "embedded"
        else Distributed(tmp_path, *request.getfixturevalue("in_cassandra"))
    )
    side = flask_side.make(tmp_path, backend)
    assert side.installation.sink.deliver(Log().records(*visits())) == []
    archive_of(tmp_path / "archive", visits())
    (tmp_path / "config.ini").write_text("")
    environment = {**SECRETS, **backend.environment, "BANNER_CONFIG": str(tmp_path / "config.ini")}
    settings = load(environment)
    if settings.storage.backend == "cassandra":
        for name, value in session_options(cassandra_options(settings)).items():
            if name != "spark.sql.extensions":
                spark.conf.set(name, value)
    yield Place(side, environment, settings)
    side.close()


def test_customers_are_segmented_forgotten_and_reported(
    spark: Any, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--tenant", "shop", "--most", "2")
    output = tmp_path / "csv"
    assert run(segments, spark, place.environment, *arguments, "--seed", "5", "--output", str(output)) == 0
    found = place.members
    fans = {hash_of(f"c{number}") for number in range(0, CUSTOMERS, 2)}
    assert {customer for customer, segment in found.items() if segment == "s1"} == fans and len(found) == CUSTOMERS
    frame = pd.concat([pd.read_csv(path) for path in output.glob("*.csv")])
    assert dict(zip(frame["customer"], frame["segment"], strict=True)) == {
        customer.hex(): segment for customer, segment in found.items()
    }
    # The same seed gives the same, whichever store it goes to.
    assert KEPT.setdefault("members", found) == found

    path = f"/reports/segment?slot=home&from={day_to_date(DAY)}&to={day_to_date(DAY + 1)}"
    rows = {row["segment"]: row for row in place.side.get(path, "read")["rows"]}
    assert (rows["s1"]["served"], rows["s1"]["clicks"]) == (10 * len(fans), 5 * len(fans))
    assert sum(row["served"] for row in rows.values()) == sum(event.kind == "served" for event in visits())
    assert KEPT.setdefault("report", rows) == rows

    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    # In the distributed mode nobody can say what waits in Kafka, as there is none.
    done = 0 if place.settings.storage.backend == "sqlite" else 1
    assert forget_customer.main(["--tenant", "shop", "--customer", "c0"]) == done
    assert hash_of("c0") not in place.members and len(place.members) == CUSTOMERS - 1
    table = place.side.store.clicks("shop", "pune", DAY + 1)
    assert len(table) == 5 * len(fans) and {click.customer for click in table} == {*fans, None} - {hash_of("c0")}
    archived = read(ArchiveDirectory(place.settings.archive_directory))
    assert int(archived["customer"].isna().sum()) == 20 and hash_of("c0") not in set(archived["customer"].dropna())


@pytest.mark.parametrize("place", ["distributed"], indirect=True)
def test_clicks_come_from_cassandras_table_by_partition_key(
    spark: Any, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = ("--from", str(day_to_date(DAY)), "--to", str(day_to_date(DAY + 1)))
    given = ("--tenant", "shop", "--city", "Poona", "--source", "cassandra", *days)
    output = ("--format", "parquet", "--output", str(tmp_path / "clicks"))
    assert run(clickstream_by_city, spark, place.environment, *given, *output) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["home", "b1", "120", "60", "60", "0.5000"]
    found = pd.read_parquet(tmp_path / "clicks")
    first_clicks = {event.impression_id for event in visits() if event.kind == "clicked"}
    assert set(map(bytes, found["impression_id"])) == first_clicks and len(found) == len(first_clicks)
    keyspace = cassandra_options(place.settings).keyspace
    plan = clicks(spark, keyspace, "shop", ["pune"], [DAY, DAY + 1])._jdf.queryExecution().executedPlan().toString()
    pushed = plan.partition("Cassandra Filters: ")[2].partition("\n")[0]
    assert all(f'"{name}" ' in pushed for name in ("tenant", "city", "day", "bucket")), plan
    assert "Filter (" not in plan and "Filter [" not in plan  # nothing is left for Spark to look for

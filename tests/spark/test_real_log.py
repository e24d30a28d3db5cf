"""The real log of examples/open_bandit as events: archive, filter and recount against plain pandas."""

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("pyspark")

from bandit.event import BannerEvent
from bandit.model import Slot, Tenant
from bandit.zone import day_of, day_to_date
from settings import load
from spark_jobs import embedded_recount
from spark_jobs.clickstream_by_city import by_banner
from spark_jobs.events import Wanted, read_archive
from spark_jobs.folding import Exclusions
from storage.archive import ArchiveDirectory
from storage.archive_export import export
from storage.sqlite import SqliteStore
from tests.storage.events import NOON_US, Log, clicked, served

LOG = Path(__file__).parents[2] / "examples" / "open_bandit"
ZONE = "Asia/Kolkata"
POLICIES = {"random": "holdout", "bts": "learned"}


def read_log() -> pd.DataFrame:
    frames = []
    for path in sorted(LOG.glob("*_*.csv")):
        policy, campaign = path.stem.split("_")
        frames.append(pd.read_csv(path, dtype={"item_id": str}).assign(policy=POLICIES[policy], campaign=campaign))
    frame = pd.concat(frames, ignore_index=True)
    frame["slot"] = frame["campaign"] + "-" + frame["position"].astype(str)
    when = pd.to_datetime(frame["timestamp"], format="ISO8601")
    frame["served_at"] = when.dt.as_unit("us").astype("int64")
    frame["date"] = when.dt.tz_convert(ZONE).dt.date
    return frame


def events(frame: pd.DataFrame) -> list[BannerEvent]:
    found = []
    for number, row in enumerate(frame.itertuples()):
        one = served(
            number,
            tenant="fashion",
            slot=row.slot,
            city=row.user_feature_1,
            banner=row.item_id,
            policy=row.policy,
            served_at=row.served_at,
            day=day_of(row.served_at, ZONE),
            referrer=row.user_feature_2,
        )
        found += [one, clicked(one), clicked(one)] if row.click else [one]
    return found


def test_archive_filter_and_recount_have_the_figures_of_pandas(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = read_log()
    (tmp_path / "config.ini").write_text(f"[data]\ndirectory = {tmp_path / 'data'}\n")
    settings = load({}, tmp_path / "config.ini")
    settings.paths.make()
    store = SqliteStore.open(settings.paths.database)
    store.put_tenant("fashion", Tenant("fashion", time_zone=ZONE))
    for slot in frame["slot"].unique():
        store.put_slot("fashion", Slot(slot))
    assert store.deliver(Log().records(*events(frame))) == []
    archive = ArchiveDirectory(settings.archive_directory)
    assert export(store, archive, NOON_US, str) == len(frame) + 2 * int(frame["click"].sum())

    city, first, last = "2d03db55", date(2019, 11, 25), date(2019, 11, 27)
    wanted = Wanted("fashion", [city], "men-1", first, last)
    found = by_banner(read_archive(spark, archive, wanted)).collect()
    part = frame[(frame["slot"] == "men-1") & (frame["user_feature_1"] == city) & frame["date"].between(first, last)]
    plain = part.groupby("item_id")["click"].agg(["size", "sum"])
    assert {row.banner: (row.served, row.clicks) for row in found} == {
        banner: (row["size"], row["sum"]) for banner, row in plain.iterrows()
    }

    assert embedded_recount.recount(settings, Exclusions(), lambda **_: spark, publish=False) == 0
    assert "0 differences found" in capsys.readouterr().out
    cells = frame.groupby(["slot", "date", "policy", "user_feature_1", "item_id"])["click"].agg(["size", "sum"])
    counted = {
        (slot, day_to_date(row.day), row.policy, row.city, row.banner): (row.served, row.clicks)
        for slot in frame["slot"].unique()
        for row in store.counts("fashion", slot, 0, 30_000)
    }
    assert counted == {key: (row["size"], row["sum"]) for key, row in cells.iterrows()}

"""Slots seeded from the Open Bandit log; `user_feature_1` stands in for the city, which the log does not have."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from bandit.model import Seed
from storage.sqlite import SqliteStore
from tests.storage.seeding import command, configure

LOGS = sorted((Path(__file__).parents[2] / "examples" / "open_bandit").glob("*.csv"))


Pair = tuple[str, str]


@pytest.mark.parametrize("position", ["1", "2", "3"])
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_a_slot_is_seeded_from_the_real_log(tmp_path: Path, log: Path, position: str) -> None:
    rows = [row for row in csv.DictReader(log.read_text("utf-8").splitlines()) if row["position"] == position]
    frame = pd.DataFrame(rows).astype({"click": int})
    made = _seeded(tmp_path, log, position, frame)
    shown = frame.groupby(["user_feature_1", "item_id"])["click"].size().to_dict()
    assert len(made) == frame["user_feature_1"].nunique() * frame["item_id"].nunique()

    # At weight 1 a pair is worth its impressions, and what it borrows where it has few.
    borrowed = {pair: seed.trials - shown.get(pair, 0) for pair, seed in made.items()}
    assert all(extra == 0 for pair, extra in borrowed.items() if shown.get(pair, 0) >= 100)
    assert all(extra >= 0 for extra in borrowed.values())
    assert sum(borrowed.values()) <= 0.1 * len(frame) + len(made)

    expected = {pair: shown.get(pair, 0) * seed.clicks / seed.trials for pair, seed in made.items()}
    assert sum(expected.values()) == pytest.approx(frame["click"].sum(), rel=1e-3)

    plain = frame.groupby("item_id")["click"].mean()
    best = plain.idxmax()
    of_best = sum(clicks for (_, banner), clicks in expected.items() if banner == best)
    drawn = of_best / (frame["item_id"] == best).sum()
    assert frame["click"].mean() < drawn < plain[best], "from its own rate towards the mean"


def _seeded(directory: Path, log: Path, position: str, frame: pd.DataFrame) -> dict[Pair, Seed]:
    """The seeds of a slot with the log's banners and cities."""
    store = SqliteStore.open(directory / "banner.db")
    cities = dict.fromkeys(sorted(frame["user_feature_1"].unique()), ())
    configure(store, "fashion", "left", sorted(frame["item_id"].unique()), cities)
    columns = ("--banner-column", "item_id", "--city-column", "user_feature_1", "--filter", f"position={position}")
    options = (*columns, "--weight", "1", "--max-strength", "1000000")
    assert command(directory, str(log), *options, tenant="fashion", slot="left") == 0
    seeds = store.seeds("fashion", "left")
    store.close()
    return {(seed.city, seed.banner): seed for seed in seeds}


def test_there_is_a_real_log() -> None:
    assert [log.stem for log in LOGS] == ["bts_men", "bts_women", "random_men", "random_women"]

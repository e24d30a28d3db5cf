from math import sqrt

import numpy as np
import pytest

from bandit.beliefs import beliefs
from bandit.model import CountRow, Trial
from bandit.posterior import fit
from bandit.reports import Belief
from bandit.standing import State, standing
from bandit.thompson import probabilities

DAY = 20_000


def counts(trials: int, clicks: int, *, city: str = "Mumbai", banner: str = "sale", day: int = DAY) -> CountRow:
    return CountRow(day, "learned", city, banner, trials, trials, clicks)


ROWS = [
    counts(1000, 30),
    counts(500, 10, city="Delhi"),
    counts(500, 10, banner="new"),
]


def believed(rows: list[CountRow], **changes: object) -> dict[str, Belief]:
    arguments = {"today": DAY, "half_life_days": None, "lookback_days": 90, "weights": {"sale": 1.0, "new": 1.0}}
    return beliefs(rows, trial=Trial.SERVED, **(arguments | changes))  # type: ignore[arg-type]


def chances(rows: list[CountRow], **changes: object) -> dict[str, float]:
    return {banner: belief.p_best for banner, belief in believed(rows, **changes).items()}


def test_the_chance_of_being_best_follows_the_posterior() -> None:
    best = chances(ROWS)
    posterior = fit([[1500, 500]], [[40, 10]])
    expected = probabilities(posterior, 0, np.random.default_rng(1), draws=100_000, gamma=1.0)
    # Five standard deviations of the difference: fails by chance once in a million seeds.
    assert best["sale"] == pytest.approx(expected[0], abs=5 * 0.5 * sqrt(1 / 10_000 + 1 / 100_000))
    assert sum(best.values()) == pytest.approx(1)


def test_the_same_counts_always_give_the_same_chance_of_being_best() -> None:
    assert chances(ROWS) == chances(ROWS)


def test_the_chance_of_being_best_counts_what_a_click_is_worth() -> None:
    rows = [counts(2000, 60), counts(2000, 60, banner="new")]
    assert chances(rows, weights={"sale": 1.0, "new": 2.0})["new"] > 0.99


def test_the_chance_of_being_best_fades_with_the_evidence() -> None:
    rows = [counts(2000, 100, day=DAY - 80), counts(2000, 20, banner="new", day=DAY - 80)]
    assert chances(rows)["sale"] > 0.99
    assert 0.5 < chances(rows, half_life_days=10.0)["sale"] < 0.8
    # Three standard deviations; the seed is fixed.
    assert chances(rows, lookback_days=30)["sale"] == pytest.approx(0.5, abs=0.015)


def test_banners_that_no_longer_compete_have_no_chance_of_being_best() -> None:
    rows = [*ROWS, counts(1000, 900, banner="deleted")]
    assert set(chances(rows)) == {"sale", "new"}
    assert chances(rows, weights={}) == {}


def test_a_city_borrows_from_the_others() -> None:
    cities = [f"city-{number}" for number in range(20)]
    rows = [
        counts(5000, 50 if banner == "sale" else 250, city=city, banner=banner)
        for city in cities
        for banner in ("sale", "new")
    ]
    rows.append(counts(20, 0, city="Pune", banner="new"))
    pune = believed(rows, city="Pune")["new"]
    assert pune.estimate == pytest.approx(0.05, rel=0.05)
    assert pune.borrowed_trials > 1000
    assert pune.estimate_low < pune.estimate < pune.estimate_high < 0.07
    assert believed(rows, city="Nowhere")["new"].p_best > 0.99


def test_the_cities_together_borrow_little() -> None:
    both = believed([counts(20_000, 400), counts(20_000, 800, city="Delhi", banner="new")])
    assert both["new"].estimate == pytest.approx(0.04, rel=0.02)
    assert both["new"].borrowed_trials < 2_000


EXTREMES = {
    "nothing shown": [],
    "no click anywhere": [
        counts(5_000, 0, city=f"c{city}", banner=f"b{number}") for city in range(3) for number in range(80)
    ],
    "ten million trials in a cell": [counts(10_000_000, 300_000, banner="b1"), counts(1, 0, city="Delhi", banner="b2")],
    "ten million trials without a click": [counts(10_000_000, 0, banner="b1"), counts(1, 1, banner="b2")],
}


@pytest.mark.parametrize("names", [["b1"], [f"b{number}" for number in range(80)]], ids=["one competes", "80 compete"])
@pytest.mark.parametrize("rows", EXTREMES.values(), ids=EXTREMES)
def test_reports_of_extreme_counts_are_finite_and_chances_sum_to_one(rows: list[CountRow], names: list[str]) -> None:
    weights = dict.fromkeys(names, 1.0)
    for city in (None, "Mumbai", "Nowhere"):
        found = believed(rows, weights=weights, city=city)
        assert sum(belief.p_best for belief in found.values()) == pytest.approx(1)
        assert np.isfinite(list(found.values())).all()
        assert all(0 <= belief.estimate_low <= belief.estimate_high <= 1 for belief in found.values())
    race = standing(rows, trial=Trial.SERVED, today=DAY, half_life_days=None, lookback_days=90, weights=weights)
    assert sum(each.p_best for each in race.banners) == pytest.approx(1)
    assert (race.value_remaining is None) == (not rows)
    assert np.isfinite([race.value_remaining or 0, *(value for each in race.banners for value in each[1:])]).all()
    if len(names) == 1:
        assert (race.state, race.ahead, race.value_remaining or 0) == (State.WINNER, ("b1",), 0)

from itertools import product
from math import exp, log, sqrt

import numpy as np
import pytest

from bandit.lift import Lift, Measured, Ratio, lift
from bandit.model import CountRow, Trial

Z = 1.959963984540054
DAY = 20_000


def counts(policy: str, trials: int, clicks: int, banner: str = "sale") -> CountRow:
    return CountRow(DAY, policy, "Mumbai", banner, trials, trials, clicks)


def compare(*rows: CountRow, banner: str | None = None, **weights: float) -> Lift:
    return lift(rows, trial=Trial.SERVED, weights=weights, banner=banner)


def test_lift_compares_clicks_per_trial_of_the_learned_choice_and_the_holdout() -> None:
    result = compare(counts("learned", 9000, 360), counts("holdout", 1000, 32))
    assert (result.learned, result.baseline) == (
        Measured(9000, 360, 360.0, 0.04, 0.04),
        Measured(1000, 32, 32.0, 0.032, 0.032),
    )
    margin = Z * sqrt(1 / 360 - 1 / 9000 + 1 / 32 - 1 / 1000)
    assert result.clicks.lift == pytest.approx(0.25)
    ends = (1.25 * exp(-margin) - 1, 1.25 * exp(margin) - 1)
    assert (result.clicks.low, result.clicks.high) == pytest.approx(ends)
    assert (result.confidence, result.clicks.conclusive) == (0.95, False)
    assert result.value == result.clicks


@pytest.mark.parametrize(("clicks", "conclusive"), [(600, True), (320, False), (100, True)])
def test_a_lift_is_conclusive_when_its_interval_leaves_out_zero(clicks: int, conclusive: bool) -> None:
    result = compare(counts("learned", 10_000, clicks), counts("holdout", 10_000, 320))
    assert result.clicks.conclusive is conclusive


@pytest.mark.parametrize(("learned", "holdout"), [((0, 0), (0, 0)), ((100, 4), (0, 0)), ((0, 0), (100, 4))])
def test_without_trials_on_both_sides_there_is_no_lift(learned: tuple[int, int], holdout: tuple[int, int]) -> None:
    result = compare(counts("learned", *learned), counts("holdout", *holdout))
    assert result.clicks == result.value == Ratio(None, None, None, False, None)
    assert compare().learned == Measured(0, 0, 0.0, None, None)


@pytest.mark.parametrize(("learned", "holdout"), list(product([0, 1, 50], repeat=2)))
def test_a_lift_from_no_clicks_or_only_clicks_is_finite_and_within_its_interval(learned: int, holdout: int) -> None:
    for ratio in compare(counts("learned", 50, learned), counts("holdout", 50, holdout), sale=3.0)[2:4]:
        assert isinstance(ratio, Ratio) and None not in ratio[:3]
        assert -1 < (ratio.low or 0) < (ratio.lift or 0) + 1e-12 < (ratio.high or 0) + 2e-12 < float("inf")


def test_banners_shown_by_rule_are_on_neither_side_of_the_lift() -> None:
    rows = [counts("learned", 9000, 360), counts("holdout", 1000, 32)]
    assert compare(*rows, counts("fixed", 5000, 4000)) == compare(*rows)


def test_a_lift_in_value_weighs_each_click_by_its_banner() -> None:
    rows = [
        counts("learned", 6000, 120), counts("learned", 3000, 60, "new"),
        counts("holdout", 500, 10), counts("holdout", 500, 10, "new"),
    ]  # fmt: skip
    result = compare(*rows, sale=1.0, new=4.0)
    assert result.clicks.lift == pytest.approx(0)
    assert (result.learned.value, result.baseline.value) == (360, 50)
    assert result.value.lift == pytest.approx(0.04 / 0.05 - 1)


def test_a_lift_over_a_chosen_banner_compares_with_what_the_holdout_saw_of_it() -> None:
    rows = [counts("learned", 9000, 360), counts("holdout", 500, 10), counts("holdout", 500, 22, "new")]
    over = compare(*rows, counts("learned", 4000, 4000, "new"), banner="new")
    assert over.baseline == Measured(500, 22, 22.0, 0.044, 0.044)
    assert over.learned.trials == 13_000


def test_the_trials_still_needed_make_a_lift_of_this_size_conclusive_four_times_in_five() -> None:
    ratio = compare(counts("learned", 9000, 360), counts("holdout", 1000, 32)).clicks
    assert ratio.further_trials is not None
    trials = 10_000 + ratio.further_trials
    rng = np.random.default_rng(3)
    found = 0
    for x, y in zip(*(rng.binomial(int(trials * s), p, 2000) for s, p in ((0.9, 0.04), (0.1, 0.032))), strict=True):
        found += compare(counts("learned", int(0.9 * trials), x), counts("holdout", int(0.1 * trials), y)).clicks[3]
    # Four standard deviations of 2,000 repetitions are 0.036.
    assert found / 2000 == pytest.approx(0.8, abs=0.04)


def test_nothing_more_is_needed_once_it_is_clear_and_nothing_can_be_said_of_equals() -> None:
    assert compare(counts("learned", 10_000, 600), counts("holdout", 10_000, 320)).clicks.further_trials == 0
    assert compare(counts("learned", 100, 10), counts("holdout", 100, 10)).clicks.further_trials is None


@pytest.mark.parametrize(("holdout_trials", "worth"), [(100, 1.0), (1000, 1.0), (1000, 8.0)])
def test_the_true_lift_lies_in_its_interval_as_often_as_stated(holdout_trials: int, worth: float) -> None:
    # With 100 trials the holdout has no click in 1 of 20 reports: the interval may then be too wide, never too narrow.
    rng = np.random.default_rng(5)
    sides = {("learned", "sale"): (7000, 0.039), ("learned", "new"): (2000, 0.039)}
    sides |= {("holdout", banner): (holdout_trials // 2, 0.03) for banner in ("sale", "new")}
    clicks = {side: rng.binomial(*counted, 2000) for side, counted in sides.items()}
    truth = 0.039 * (7000 + 2000 * worth) / 9000 / (0.03 * (1 + worth) / 2)
    held = 0
    for number in range(2000):
        rows = [counts(side[0], sides[side][0], int(clicks[side][number]), side[1]) for side in sides]
        ratio = compare(*rows, sale=1.0, new=worth).value
        held += log(1 + (ratio.low or 0)) <= log(truth) <= log(1 + (ratio.high or 0))
    # Four standard deviations of 2,000 reports: fails by chance with 3 seeds of 100,000.
    assert held / 2000 > 0.95 - 4 * sqrt(0.95 * 0.05 / 2000)

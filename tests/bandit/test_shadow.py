"""Predicting from a shadow, against worlds of which the truth is known."""

from typing import NamedTuple

import numpy as np
import pytest

from bandit.model import CountRow, Trial, WouldBeRow
from bandit.shadow import Shadow, predict

DAY = 20_000
CITIES, BANNERS = 6, 4


class World(NamedTuple):
    """What a shadow of one world says, and the lift that is true for what was shown and what would have been."""

    found: Shadow
    lift: float


def world(seed: int, impressions: int, *, mostly_default: bool = False, worth: float = 1.0) -> World:
    rng = np.random.default_rng(seed)
    logits = rng.normal(-3.2, 0.4, (1, BANNERS)) + rng.normal(0, 0.3, (CITIES, BANNERS))
    rates = 1 / (1 + np.exp(-logits))
    traffic = rng.dirichlet(np.full(CITIES, 5.0))[:, np.newaxis]
    caller = np.tile([0.85, 0.05, 0.05, 0.05], (CITIES, 1)) if mostly_default else rng.dirichlet([2.0] * 4, CITIES)
    shown = rng.multinomial(impressions, (traffic * caller).ravel()).reshape(CITIES, BANNERS)
    clicks = rng.binomial(shown, rates)
    learned = rng.dirichlet(np.full(BANNERS, 0.5), CITIES)
    chosen = np.array([rng.multinomial(shown[city].sum(), learned[city]) for city in range(CITIES)])
    value = rates * np.where(np.arange(BANNERS) == 1, worth, 1.0)
    cells = list(np.ndindex(CITIES, BANNERS))
    found = predict(
        [CountRow(DAY, "fixed", f"c{c}", f"b{b}", n := int(shown[c, b]), n, int(clicks[c, b])) for c, b in cells],
        [WouldBeRow(DAY, f"c{c}", f"b{b}", int(chosen[c, b])) for c, b in cells],
        trial=Trial.SERVED,
        weights={f"b{b}": worth if b == 1 else 1.0 for b in range(BANNERS)},
    )
    return World(found, float((chosen * value).sum() / chosen.sum() / ((shown * value).sum() / shown.sum()) - 1))


@pytest.mark.parametrize(("impressions", "mostly_default"), [(3000, False), (20_000, False), (20_000, True)])
def test_the_true_lift_lies_in_the_interval_as_often_as_stated(impressions: int, mostly_default: bool) -> None:
    held = 0
    for seed in range(200):
        found, lift = world(seed, impressions, mostly_default=mostly_default)
        assert found.clicks is not None
        held += found.clicks.lift.low <= lift <= found.clicks.lift.high
    # The standard deviation of 200 worlds is 1.5 points: three of them below what is promised.
    assert held / 200 > 0.95 - 0.046


def test_value_is_predicted_beside_clicks() -> None:
    found, lift = world(2, 200_000, worth=6.0)
    assert found.clicks is not None and found.value is not None
    assert found.value.lift.low < lift < found.value.lift.high
    assert not found.clicks.lift.low < lift < found.clicks.lift.high


def test_a_choice_the_caller_never_shows_is_not_guessed_at() -> None:
    rows = [CountRow(DAY, "fixed", "pune", "b0", 1000, 1000, 30)]
    choices = [WouldBeRow(DAY, "pune", "b0", 850), WouldBeRow(DAY, "pune", "b1", 150)]
    found = predict(rows, choices, trial=Trial.SERVED, weights={"b0": 1.0, "b1": 1.0})
    assert found == Shadow(1000, 0.85, 0.85, None, None)


def test_the_same_choices_as_the_callers_promise_nothing() -> None:
    rows = [CountRow(DAY, "fixed", "pune", f"b{number}", 500, 500, 10 + 10 * number) for number in (0, 1)]
    choices = [WouldBeRow(DAY, "pune", f"b{number}", 300) for number in (0, 1)]
    found = predict(rows, choices, trial=Trial.SERVED, weights={"b0": 1.0, "b1": 1.0})
    assert found.clicks is not None and found.agreed == 0.5
    assert found.clicks.lift == pytest.approx((0, 0, 0)) and not found.clicks.conclusive


def test_what_was_learned_or_held_out_is_no_shadow_and_nothing_predicts_nothing() -> None:
    rows = [CountRow(DAY, policy, "pune", "b0", 500, 500, 10) for policy in ("learned", "holdout")]
    found = predict(rows, [WouldBeRow(DAY, "pune", "b0", 5)], trial=Trial.SERVED, weights={"b0": 1.0})
    assert found == predict([], [], trial=Trial.SERVED, weights={}) == Shadow(0, None, 0.0, None, None)

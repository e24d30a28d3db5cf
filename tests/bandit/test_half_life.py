"""Choosing a half-life, in worlds whose rates drift as much as we say."""

import numpy as np
import pytest

from bandit.half_life import Day, Suggestion, TooLittle, days_of, foretold, suggest
from bandit.model import CountRow, Trial

LOOKBACK = 90


def world(seed: int, drift: float, *, days: int = 50, trials: int = 70) -> list[Day]:
    """3 cities x 5 banners whose log odds of a click walk by `drift` a day."""
    rng = np.random.default_rng(seed)
    logits, made = rng.normal(-2.5, 0.3, (3, 5)), []
    for day in range(days):
        shown = rng.poisson(trials, logits.shape)
        made.append(Day(day, shown.astype(float), rng.binomial(shown, 1 / (1 + np.exp(-logits))).astype(float)))
        logits = logits + rng.normal(0, drift, logits.shape)
    return made


def chosen(days: list[Day], present: float | None) -> Suggestion:
    return suggest(days, present, LOOKBACK, lambda _: None)


def test_where_rates_drift_fast_a_short_half_life_gains_clearly() -> None:
    found = chosen(world(1, 0.25), 30.0)
    assert found.best is not None and found.best <= 5
    assert found.is_clear and 0 < found.low < max(found.gains) < found.high


def test_where_nothing_changes_forgetting_costs() -> None:
    found = chosen(world(2, 0.0), 2.0)
    assert found.best is None or found.best >= 30
    assert found.is_clear
    by_half_life = dict(zip(found.half_lives, found.gains, strict=True))
    assert by_half_life[1] < by_half_life[2] == 0 < by_half_life[7] < by_half_life[30]


def test_a_gain_that_may_be_chance_is_not_called_clear() -> None:
    found = chosen(world(3, 0.1), 7.0)
    assert not found.is_clear and found.low <= 0 < found.high


def test_the_present_half_life_is_the_zero_of_the_curve_even_if_unusual() -> None:
    found = chosen(world(4, 0.1, days=25), 17.5)
    assert dict(zip(found.half_lives, found.gains, strict=True))[17.5] == 0
    assert found.present == 17.5 and found.days == 25
    assert chosen(world(4, 0.1, days=25), 17.5) == found


@pytest.mark.parametrize(("days", "trials"), [(20, 70), (50, 1)])
def test_too_few_days_or_clicks_are_not_chosen_from(days: int, trials: int) -> None:
    with pytest.raises(TooLittle, match="21 days and 500 clicks are the least"):
        chosen(world(5, 0.1, days=days, trials=trials), 14.0)


def test_a_day_is_foretold_by_the_days_before_it_alone() -> None:
    days = world(6, 0.1, days=10)
    before = foretold(days, 7, LOOKBACK)
    changed = [*days[:-1], days[-1]._replace(clicks=days[-1].clicks * 0)]
    assert (foretold(changed, 7, LOOKBACK)[:-1] == before[:-1]).all()
    assert foretold(changed, 7, LOOKBACK)[-1] != before[-1]


def test_days_are_taken_from_counts_with_clicks_at_most_trials() -> None:
    rows = [
        CountRow(11, "learned", "pune", "b1", 10, 4, 2),
        CountRow(11, "fixed", "pune", "b1", 10, 4, 9),
        CountRow(9, "learned", "goa", "b2", 5, 0, 0),
        CountRow(10, "learned", "goa", "b2", 0, 0, 0),
    ]
    first, last = days_of(rows, Trial.SERVED)
    assert (first.day, last.day) == (9, 11)
    assert last.trials.tolist() == [[0, 0], [20, 0]] and last.clicks.tolist() == [[0, 0], [6, 0]]
    (viewed,) = days_of(rows, Trial.VIEWED)
    assert viewed.trials.sum() == 8

"""What the learned choice would have earned while a slot was in shadow: predicted from what the caller's choice taught.

The click rate of each banner in each city is known from the impressions the caller gave it; the choices that would have
been made are logged. What they would have earned is the one weighted by the other. This takes for granted that within a
city the caller does not choose by visitor, or not by anything that clicks depend on. Each rate is known from its own
impressions only: strength borrowed from other cities would promise more than it keeps while there are few clicks.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from bandit.model import CountRow, Policy, Trial, WouldBeRow
from bandit.posterior import Array
from bandit.reports import CONFIDENCE, clamped, trials_of

DRAWS = 4000
SEED = 20_250_101
"""The same counts always give the same prediction."""
PRIOR_CLICKS = 0.5
"""Each rate has the prior Beta(1/2, .) whose mean is the rate of all that was shown."""
SMALLEST_COVERED = 0.9
"""Share of the choices that must fall on what the caller showed in that city, too."""


class Predicted(NamedTuple):
    """A rate per trial, or how much of one exceeds another, with its interval."""

    expected: float
    low: float
    high: float


class Prediction(NamedTuple):
    """In one currency: clicks, or their value."""

    shown: Predicted
    """Per trial, of what the caller showed."""
    learned: Predicted
    """Per trial, of what would have been chosen."""
    lift: Predicted
    """0.25 is a quarter more."""
    conclusive: bool
    """Whether the lift's interval lies wholly above or wholly below 0."""


class Shadow(NamedTuple):
    """What the shadow says so far."""

    impressions: int
    agreed: float | None
    """The share of choices that would have been the caller's, if both were independent within a city."""
    covered: float
    """The share of choices that fell on a banner the caller showed in that city."""
    clicks: Prediction | None
    """None while too little is covered."""
    value: Prediction | None


def predict(
    rows: Iterable[CountRow], would_be: Iterable[WouldBeRow], *, trial: Trial, weights: Mapping[str, float]
) -> Shadow:
    """From the counts of the time in shadow. `weights` names the slot's banners, and what a click on each is worth."""
    chosen = [row for row in would_be if row.banner in weights]
    shown = [row for row in rows if row.policy == Policy.FIXED and row.banner in weights]
    names = {row.city for row in chosen} | {row.city for row in shown}
    cities = {city: row for row, city in enumerate(sorted(names))}
    served, trials, clicks, choices = np.zeros((4, len(cities), len(weights)))
    column = {banner: index for index, banner in enumerate(weights)}
    for row in shown:
        counted, cell = clamped(row), (cities[row.city], column[row.banner])
        served[cell] += counted.served
        trials[cell] += trials_of(counted, trial)
        clicks[cell] += counted.clicks
    for choice in chosen:
        choices[cities[choice.city], column[choice.banner]] += choice.decisions
    return _shadow(served, trials, clicks, choices, np.array(list(weights.values())))


def _shadow(served: Array, trials: Array, clicks: Array, choices: Array, worth: Array) -> Shadow:
    impressions = int(served.sum())
    if not trials.sum() or not choices.sum():
        return Shadow(impressions, None, 0.0, None, None)
    by_shown, by_choice = served / served.sum(), choices / choices.sum()
    in_city = served / np.maximum(served.sum(axis=1, keepdims=True), 1)
    agreed, covered = float((by_choice * in_city).sum()), float(by_choice[trials > 0].sum())
    if covered < SMALLEST_COVERED:
        return Shadow(impressions, agreed, covered, None, None)
    kinds = np.array([by_shown, by_choice, by_shown * worth, by_choice * worth])
    sums = _sums(trials, clicks, kinds)
    return Shadow(
        impressions, agreed, covered, _prediction(sums[:, 0], sums[:, 1]), _prediction(sums[:, 2], sums[:, 3])
    )


def _sums(trials: Array, clicks: Array, kinds: Array) -> Array:
    """Draws of the sums of rate x weight, (draws, kinds), for weights (kinds, cities, banners)."""
    rng = np.random.default_rng(SEED)
    mean = (clicks.sum() + 1) / (trials.sum() + 50)
    alpha, beta = PRIOR_CLICKS + clicks, PRIOR_CLICKS * (1 - mean) / mean + trials - clicks
    sums = np.zeros((DRAWS, len(kinds)))
    for city in range(len(trials)):
        sums += rng.beta(alpha[city], beta[city], size=(DRAWS, alpha.shape[1])) @ kinds[:, city].T
    return sums


def _prediction(shown: Array, learned: Array) -> Prediction:
    lift = _summary(learned / shown - 1)
    return Prediction(_summary(shown), _summary(learned), lift, lift.low > 0 or lift.high < 0)


def _summary(draws: Array) -> Predicted:
    tail = (1 - CONFIDENCE) / 2
    low, expected, high = np.quantile(draws, [tail, 0.5, 1 - tail])
    return Predicted(float(expected), float(low), float(high))

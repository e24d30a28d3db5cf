"""By how much the learned choice beats the holdout, or one banner shown to everybody: in clicks and in their value.

Pure computations on count rows of days on which both sides were served.
"""

from collections.abc import Iterable, Mapping
from math import ceil, exp, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from bandit.model import CountRow, Policy, Trial
from bandit.reports import CONFIDENCE, clamped, trials_of

POWER = 0.8
"""With which a true lift of the size seen so far shows as conclusive once the further trials are in."""


class Measured(NamedTuple):
    """One side; the ratios are None without trials."""

    trials: int
    clicks: int
    value: float
    """The clicks, each times the weight of its banner."""
    ctr: float | None
    value_per_trial: float | None


class Ratio(NamedTuple):
    """By how much one side's rate exceeds the other's: 0.25 is a quarter more. All None while a side has no trials."""

    lift: float | None = None
    low: float | None = None
    high: float | None = None
    conclusive: bool = False
    """Whether the interval lies wholly above or wholly below 0."""
    further_trials: int | None = None
    """Of both sides together, in their present proportion, until it should be conclusive; 0 when it is. None where
    nothing can be said, as when the two are equal."""


class Lift(NamedTuple):
    """The comparison of two sides."""

    learned: Measured
    baseline: Measured
    clicks: Ratio
    value: Ratio
    confidence: float


class _Side(NamedTuple):
    trials: int = 0
    clicks: int = 0
    value: float = 0.0
    squares: float = 0.0
    """The clicks, each times the square of its weight."""


def lift(rows: Iterable[CountRow], *, trial: Trial, weights: Mapping[str, float], banner: str | None = None) -> Lift:
    """The learned policy against the holdout; with `banner`, against that banner's trials in the holdout.

    Only the holdout shows a banner to visitors it did not choose: where the learned policy shows one, it does so
    because of who is there. A banner that `weights` does not name (any more) is worth 1.
    """
    kept = list(rows)
    learned = _side((row for row in kept if row.policy == Policy.LEARNED), trial, weights)
    holdout = (row for row in kept if row.policy == Policy.HOLDOUT and banner in (None, row.banner))
    baseline = _side(holdout, trial, weights)
    clicks = _ratio(_unweighted(learned), _unweighted(baseline))
    return Lift(_measured(learned), _measured(baseline), clicks, _ratio(learned, baseline), CONFIDENCE)


def _side(rows: Iterable[CountRow], trial: Trial, weights: Mapping[str, float]) -> _Side:
    trials, clicks, value, squares = 0, 0, 0.0, 0.0
    for row in rows:
        counted, weight = clamped(row), weights.get(row.banner, 1.0)
        trials += trials_of(counted, trial)
        clicks += counted.clicks
        value += weight * counted.clicks
        squares += weight * weight * counted.clicks
    return _Side(trials, clicks, value, squares)


def _unweighted(side: _Side) -> _Side:
    return side._replace(value=float(side.clicks), squares=float(side.clicks))


def _measured(side: _Side) -> Measured:
    if not side.trials:
        return Measured(0, side.clicks, side.value, None, None)
    return Measured(*side[:3], side.clicks / side.trials, side.value / side.trials)


def _ratio(learned: _Side, baseline: _Side) -> Ratio:
    """The interval is that of the ratio of two means by the delta method on its logarithm.

    For clicks that is the interval of Katz, Baptista, Azen and Pike (Biometrics 34, 1978). Where a side has no click,
    or nothing but clicks, both sides get half a click and half a trial without one (Haldane 1956, Anscombe 1956), for
    the lift as well as for its interval. In value the interval is too narrow while a side has but one or two clicks on
    the banners that are worth much more than the others.
    """
    if not learned.trials or not baseline.trials:
        return Ratio()
    mean_1, variance_1, mean_2, variance_2 = *_moments(learned, baseline), *_moments(baseline, learned)
    log_ratio = log(mean_1 / mean_2)
    error = sqrt(variance_1 / mean_1**2 + variance_2 / mean_2**2)
    value, low, high = (exp(log_ratio + side * _z() * error) - 1 for side in (0, -1, 1))
    conclusive = low > 0 or high < 0
    further = 0 if conclusive else _further_trials(learned.trials + baseline.trials, log_ratio, error)
    return Ratio(value, low, high, conclusive, further)


def _moments(side: _Side, other: _Side) -> tuple[float, float]:
    """The mean of a trial's value, and the variance of that mean."""
    half = 0.0 if all(0 < one.clicks < one.trials for one in (side, other)) else 0.5
    clicks = side.clicks + other.clicks
    weight = (side.value + other.value) / clicks if clicks else 1.0
    trials = side.trials + 2 * half
    mean = (side.value + half * weight) / trials
    second = (side.squares + half * weight * weight) / trials
    return mean, max(second - mean * mean, 0.0) / trials


def _further_trials(trials: int, log_ratio: float, error: float) -> int | None:
    """The variance of the log ratio falls as 1 / trials; it has to reach (log ratio / (z + z of the power))^2."""
    if not log_ratio:
        return None
    needed = trials * ((_z() + NormalDist().inv_cdf(POWER)) * error / log_ratio) ** 2
    return ceil(needed - trials) if needed < 1e15 else None


def _z() -> float:
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

"""What the counts of a slot show: click rates by banner, city, day, policy or referrer, and the lift over the holdout.

Pure computations on count rows. In every row clicks are cut to views and views to impressions: a click may be counted
a moment before its impression.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import exp, log, sqrt
from operator import attrgetter
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from bandit.fading import fade
from bandit.model import CountRow, Policy, ReferrerRow, Trial
from bandit.posterior import fit
from bandit.thompson import probabilities
from bandit.zone import day_to_date

CONFIDENCE = 0.95
"""Of the intervals of click rates and of the lift."""

P_BEST_DRAWS = 10_000
P_BEST_SEED = 20_250_101
"""The same counts always give the same report."""


class Group(StrEnum):
    """What a row of a report stands for; also the name of its key column."""

    BANNER = "banner"
    CITY = "city"
    DAY = "day"
    POLICY = "policy"
    REFERRER = "referrer"


class ReportRow(NamedTuple):
    """One group. Rates are fractions of trials; None where nothing was tried."""

    key: str
    """Banner, city, policy or referrer id, or an ISO date."""
    served: int
    viewed: int
    clicks: int
    trials: int
    ctr: float | None
    ctr_low: float
    ctr_high: float
    share: float | None
    """Of the trials of all rows of the report."""
    p_best: float | None = None
    """Only by banner: the chance that a trial of this one is worth the most; None for a banner no longer there."""


class Measured(NamedTuple):
    """Trials, clicks and their ratio (None without trials)."""

    trials: int
    clicks: int
    ctr: float | None


class Lift(NamedTuple):
    """By how much the learned choice's click rate exceeds the holdout's: 0.25 is a quarter more clicks per trial."""

    learned: Measured
    holdout: Measured
    lift: float | None
    low: float | None
    high: float | None
    """All three None while either side has no trials."""
    confidence: float
    conclusive: bool
    """Whether the interval lies wholly above or wholly below 0."""


class _Totals(NamedTuple):
    served: int = 0
    viewed: int = 0
    clicks: int = 0


def columns(group: Group) -> tuple[str, ...]:
    """The column names of a report, in the order of its rows' values."""
    names = (group.value, *ReportRow._fields[1:])
    return names if group is Group.BANNER else names[:-1]


def record(group: Group, row: ReportRow) -> dict[str, str | int | float | None]:
    """The row under its column names, ready for JSON or CSV."""
    return dict(zip(columns(group), row, strict=False))


def select(
    rows: Iterable[CountRow], *, banner: str | None = None, city: str | None = None, policy: str | None = None
) -> list[CountRow]:
    """The rows of this banner, city and policy; None stands for all."""
    wanted = {"banner": banner, "city": city, "policy": policy}
    asked = {name: value for name, value in wanted.items() if value is not None}
    return [row for row in rows if all(getattr(row, name) == value for name, value in asked.items())]


def report(
    rows: Iterable[CountRow] | Iterable[ReferrerRow],
    group: Group,
    *,
    trial: Trial,
    p_best: Mapping[str, float] | None = None,
) -> list[ReportRow]:
    """One row a group: days in order, everything else by most trials.

    Only referrer rows can be grouped by referrer, and they have neither city nor policy. With `p_best`, for a report by
    banner, each banner it names has a row even without counts.
    """
    best = p_best or {}
    totals = dict.fromkeys(best, _Totals()) | _totals(rows, group)
    all_trials = sum(_trials(each, trial) for each in totals.values())
    result = [_row(key, each, trial, all_trials)._replace(p_best=best.get(key)) for key, each in totals.items()]
    if group is Group.DAY:
        return sorted(result)
    return sorted(result, key=lambda row: (-row.trials, row.key))


def p_best(
    rows: Iterable[CountRow],
    *,
    trial: Trial,
    today: int,
    half_life_days: float | None,
    lookback_days: int,
    weights: Mapping[str, float],
) -> dict[str, float]:
    """For each banner of `weights`, the chance that its weight x click rate is the largest, over the cities together.

    By Beta draws from the posterior of the faded counts, at a fixed seed; seeds from history are not in it: a report
    says what was measured. `weights` names the banners that compete, and what a click on each is worth.
    """
    if not weights:
        return {}
    evidence = {banner: [0.0, 0.0] for banner in weights}
    for row in rows:
        if row.banner in evidence:
            counted, weight = _clamped(row), fade(today - row.day, half_life_days, lookback_days)
            evidence[row.banner][0] += weight * _trials(counted, trial)
            evidence[row.banner][1] += weight * counted.clicks
    trials, clicks = np.array(list(evidence.values())).T
    rng = np.random.default_rng(P_BEST_SEED)
    posterior, values = fit([trials], [clicks]), list(weights.values())
    chances = probabilities(posterior, 0, rng, weights=values, draws=P_BEST_DRAWS, gamma=1.0)
    return dict(zip(weights, chances.tolist(), strict=True))


def lift(rows: Iterable[CountRow], *, trial: Trial) -> Lift:
    """The learned policy's clicks per trial against the holdout's, over rows of a time when both were served.

    The interval is that of the ratio of two proportions by the log method (Katz, Baptista, Azen and Pike, Biometrics
    34, 1978). Where one of the four counts (clicks and trials without a click, on either side) is 0, each is raised by
    1/2 first (Haldane 1956, Anscombe 1956), for the lift as well as for its interval.
    """
    totals = _totals(rows, Group.POLICY)
    learned = _measured(totals.get(Policy.LEARNED, _Totals()), trial)
    holdout = _measured(totals.get(Policy.HOLDOUT, _Totals()), trial)
    if not learned.trials or not holdout.trials:
        return Lift(learned, holdout, None, None, None, CONFIDENCE, False)
    log_ratio, margin = _log_ratio(learned, holdout)
    value, low, high = (exp(log_ratio + side * margin) - 1 for side in (0, -1, 1))
    return Lift(learned, holdout, value, low, high, CONFIDENCE, low > 0 or high < 0)


def click_rate_interval(clicks: int, trials: int) -> tuple[float, float]:
    """The ends of the 95 % interval of a click rate; (0, 1) without trials.

    Wilson's score interval (E. B. Wilson, JASA 22, 1927), which Brown, Cai and DasGupta (Statistical Science 16, 2001)
    recommend: it always holds the measured rate, and keeps its promise also at few clicks.
    """
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = clicks / trials, _z() ** 2
    middle = rate + z2 / (2 * trials)
    margin = _z() * sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    scale = 1 + z2 / trials
    low = 0.0 if clicks == 0 else (middle - margin) / scale
    high = 1.0 if clicks == trials else (middle + margin) / scale
    return low, high


def _clamped(row: CountRow | ReferrerRow) -> _Totals:
    viewed = min(row.viewed, row.served)
    return _Totals(row.served, viewed, min(row.clicks, viewed))


def _totals(rows: Iterable[CountRow] | Iterable[ReferrerRow], group: Group) -> dict[str, _Totals]:
    key_of = attrgetter(group)
    sums: defaultdict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        each, counted = sums[key_of(row)], _clamped(row)
        each[0] += counted.served
        each[1] += counted.viewed
        each[2] += counted.clicks
    return {_name(key): _Totals(*each) for key, each in sums.items()}


def _name(key: str | int) -> str:
    return day_to_date(key).isoformat() if isinstance(key, int) else key


def _trials(totals: _Totals, trial: Trial) -> int:
    return totals.viewed if trial is Trial.VIEWED else totals.served


def _measured(totals: _Totals, trial: Trial) -> Measured:
    trials = _trials(totals, trial)
    return Measured(trials, totals.clicks, totals.clicks / trials if trials else None)


def _row(key: str, totals: _Totals, trial: Trial, all_trials: int) -> ReportRow:
    trials, clicks, ctr = _measured(totals, trial)
    low, high = click_rate_interval(clicks, trials)
    share = trials / all_trials if all_trials else None
    return ReportRow(key, *totals, trials, ctr, low, high, share)


def _log_ratio(learned: Measured, holdout: Measured) -> tuple[float, float]:
    """The logarithm of the ratio of click rates, and the half width of its interval."""
    cells = [learned.clicks, learned.trials - learned.clicks, holdout.clicks, holdout.trials - holdout.clicks]
    half = 0.0 if all(cells) else 0.5
    x1, n1 = learned.clicks + half, learned.trials + 2 * half
    x2, n2 = holdout.clicks + half, holdout.trials + 2 * half
    return log(x1 / n1) - log(x2 / n2), _z() * sqrt(1 / x1 - 1 / n1 + 1 / x2 - 1 / n2)


def _z() -> float:
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

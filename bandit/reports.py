"""What the counts of a slot show: click rates and values by banner, city, day, policy or referrer.

Pure computations on count rows. In every row clicks are cut to views and views to impressions: a click may be counted
a moment before its impression.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import sqrt
from operator import attrgetter
from statistics import NormalDist
from typing import Any, NamedTuple

from bandit.model import CountRow, ReferrerRow, SegmentRow, Trial
from bandit.zone import day_to_date

CONFIDENCE = 0.95
"""Of the intervals of click rates and of lifts."""


class Group(StrEnum):
    """What a row of a report stands for; also the name of its key column."""

    BANNER = "banner"
    CITY = "city"
    DAY = "day"
    POLICY = "policy"
    REFERRER = "referrer"
    SEGMENT = "segment"


class Belief(NamedTuple):
    """What the posterior says of a banner, from its own counts and from what they borrow; see `bandit.beliefs`."""

    p_best: float
    """The chance that a trial of this banner is worth the most."""
    estimate: float
    """Expected click rate."""
    estimate_low: float
    estimate_high: float
    borrowed_trials: float
    """How many more trials the banner would need to be known as well by itself."""


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
    value: float
    """The clicks, each times the weight its banner has now."""
    value_per_trial: float | None
    p_best: float | None = None
    """From here on only by banner, and None for one that does not compete: its `Belief`."""
    estimate: float | None = None
    estimate_low: float | None = None
    estimate_high: float | None = None
    borrowed_trials: float | None = None


class Totals(NamedTuple):
    """What was counted of one row or of one group."""

    served: int = 0
    viewed: int = 0
    clicks: int = 0


class _Valued(NamedTuple):
    totals: Totals = Totals()
    value: float = 0.0


def columns(group: Group) -> tuple[str, ...]:
    """The column names of a report, in the order of its rows' values."""
    names = (group.value, *ReportRow._fields[1:])
    return names if group is Group.BANNER else names[: -len(Belief._fields)]


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
    rows: Iterable[CountRow] | Iterable[ReferrerRow] | Iterable[SegmentRow],
    group: Group,
    *,
    trial: Trial,
    weights: Mapping[str, float] | None = None,
    beliefs: Mapping[str, Belief] | None = None,
) -> list[ReportRow]:
    """One row a group: days in order, everything else by most trials.

    `weights` is what a click on each banner is worth; 1 for a banner it does not name.

    Only referrer rows can be grouped by referrer and only segment rows by segment; they have neither city nor policy.
    With `beliefs`, for a report by banner, each banner it names has a row even without counts.
    """
    known = beliefs or {}
    groups = dict.fromkeys(known, _Valued()) | _grouped(rows, group, weights or {})
    all_trials = sum(trials_of(each.totals, trial) for each in groups.values())
    result = [_row(key, each, trial, all_trials) for key, each in groups.items()]
    result = [row._replace(**known[row.key]._asdict()) if row.key in known else row for row in result]
    if group is Group.DAY:
        return sorted(result)
    return sorted(result, key=lambda row: (-row.trials, row.key))


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


def clamped(row: CountRow | ReferrerRow | SegmentRow) -> Totals:
    """What the row counts, with clicks at most views and views at most impressions."""
    viewed = min(row.viewed, row.served)
    return Totals(row.served, viewed, min(row.clicks, viewed))


def trials_of(totals: Totals, trial: Trial) -> int:
    """What the slot takes for attempts."""
    return totals.viewed if trial is Trial.VIEWED else totals.served


def _grouped(
    rows: Iterable[CountRow] | Iterable[ReferrerRow] | Iterable[SegmentRow], group: Group, weights: Mapping[str, float]
) -> dict[str, _Valued]:
    key_of = attrgetter(group)
    sums: defaultdict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    values: defaultdict[Any, float] = defaultdict(float)
    for row in rows:
        key, counted = key_of(row), clamped(row)
        each = sums[key]
        each[0] += counted.served
        each[1] += counted.viewed
        each[2] += counted.clicks
        values[key] += weights.get(row.banner, 1.0) * counted.clicks
    return {_name(key): _Valued(Totals(*each), values[key]) for key, each in sums.items()}


def _name(key: str | int) -> str:
    return day_to_date(key).isoformat() if isinstance(key, int) else key


def _row(key: str, valued: _Valued, trial: Trial, all_trials: int) -> ReportRow:
    (totals, value), trials = valued, trials_of(valued.totals, trial)
    low, high = click_rate_interval(totals.clicks, trials)
    return ReportRow(
        key,
        *totals,
        trials,
        totals.clicks / trials if trials else None,
        low,
        high,
        trials / all_trials if all_trials else None,
        value,
        value / trials if trials else None,
    )


def _z() -> float:
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

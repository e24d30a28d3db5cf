"""Which half-life would have foretold clicks best: prequential log-likelihood over days (Dawid, JRSS A 147, 1984)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bandit.fading import fade
from bandit.model import CountRow, Trial
from bandit.posterior import Array, fit
from bandit.reports import clamped, trials_of

CANDIDATES: tuple[float | None, ...] = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, None)
"""In days; None forgets nothing."""
CONFIDENCE = 0.95
LEAST_DAYS = 21
LEAST_CLICKS = 500
BLOCK_DAYS = 7
"""Days near each other resemble each other: whole weeks are resampled."""
RESAMPLES = 2000
SEED = 20_250_101


class TooLittle(ValueError):
    """There is not enough to choose from; the message says what is missing."""


class Day(NamedTuple):
    """What happened on one day, (cities, banners) each."""

    day: int
    trials: Array
    clicks: Array


class Suggestion(NamedTuple):
    """How well each half-life foretold each day's clicks, and the best against the present one."""

    half_lives: tuple[float | None, ...]
    gains: tuple[float, ...]
    """Log-likelihood, over all days, above that of the present half-life."""
    present: float | None
    best: float | None
    low: float
    """With high, the interval of the best one's gain."""
    high: float
    days: int
    clicks: int

    @property
    def is_clear(self) -> bool:
        """Whether the best half-life is better than the present one by more than chance."""
        return self.low > 0


def days_of(rows: Sequence[CountRow], trial: Trial) -> list[Day]:
    """The days that have trials, in order."""
    cities = {city: index for index, city in enumerate(sorted({row.city for row in rows}))}
    banners = {banner: index for index, banner in enumerate(sorted({row.banner for row in rows}))}
    found: dict[int, Day] = {}
    for row in rows:
        day = found.setdefault(row.day, Day(row.day, *np.zeros((2, len(cities), len(banners)))))
        counted, cell = clamped(row), (cities[row.city], banners[row.banner])
        day.trials[cell] += trials_of(counted, trial)
        day.clicks[cell] += min(counted.clicks, trials_of(counted, trial))
    return [found[day] for day in sorted(found) if found[day].trials.any()]


def suggest(
    days: Sequence[Day], present: float | None, lookback_days: int, progress: Callable[[float], None]
) -> Suggestion:
    """The best half-life. `progress` is told the share that is done. Raises TooLittle."""
    clicks = int(sum(day.clicks.sum() for day in days))
    if len(days) < LEAST_DAYS or clicks < LEAST_CLICKS:
        raise TooLittle(
            f"{len(days)} days with {clicks} clicks; {LEAST_DAYS} days and {LEAST_CLICKS} clicks are the least"
        )
    half_lives = tuple(dict.fromkeys((*CANDIDATES, present)))
    scores = np.empty((len(half_lives), len(days) - 1))
    for row, half_life in enumerate(half_lives):
        scores[row] = foretold(days, half_life, lookback_days)
        progress((row + 1) / len(half_lives))
    gains = scores - scores[half_lives.index(present)]
    best = int(gains.sum(axis=1).argmax())
    return Suggestion(
        half_lives,
        tuple(gains.sum(axis=1).tolist()),
        present,
        half_lives[best],
        *_interval(gains[best]),
        len(days),
        clicks,
    )


def foretold(days: Sequence[Day], half_life: float | None, lookback_days: int) -> Array:
    """The log-likelihood of each day's clicks but the first's, (days - 1,), by rates learned from the days before."""
    scores = np.empty(len(days) - 1)
    for index, today in enumerate(days[1:]):
        weights = [fade(today.day - past.day, half_life, lookback_days) for past in days[: index + 1]]
        trials = sum(
            (weight * past.trials for weight, past in zip(weights, days, strict=False)), start=0 * today.trials
        )
        clicks = sum(
            (weight * past.clicks for weight, past in zip(weights, days, strict=False)), start=0 * today.trials
        )
        posterior = fit(trials, clicks)
        rates = np.array([posterior.mean(city) for city in range(len(trials))])
        rest = today.trials - today.clicks
        scores[index] = (today.clicks * np.log(rates) + rest * np.log1p(-rates)).sum()
    return scores


def _interval(gains: Array) -> tuple[float, float]:
    """Of the sum, by a bootstrap of blocks of days that may begin anywhere (Kuensch, Annals of Statistics 17, 1989)."""
    rng = np.random.default_rng(SEED)
    blocks = -(-len(gains) // BLOCK_DAYS)
    starts = rng.integers(0, len(gains), (RESAMPLES, blocks, 1))
    drawn = gains[(starts + np.arange(BLOCK_DAYS)) % len(gains)].reshape(RESAMPLES, -1)[:, : len(gains)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn.sum(axis=1), [tail, 1 - tail])
    return float(low), float(high)

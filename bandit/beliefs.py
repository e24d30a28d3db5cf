"""What the counts make us believe of each banner, for reports: its own evidence, strengthened by what it borrows."""

from collections.abc import Iterable, Mapping

import numpy as np

from bandit.model import CountRow, Trial
from bandit.posterior import fit, posterior_draws
from bandit.reports import CONFIDENCE, Belief
from bandit.standing import evidence_by_city

DRAWS = 10_000
SEED = 20_250_101
"""The same counts always give the same report."""


def beliefs(
    rows: Iterable[CountRow],
    *,
    trial: Trial,
    today: int,
    half_life_days: float | None,
    lookback_days: int,
    weights: Mapping[str, float],
    city: str | None = None,
) -> dict[str, Belief]:
    """For each banner of `weights` what its click rate is in the city, or over the cities together.

    A city borrows from the others of `rows`; the cities together only from what the slot's banners are like. The counts
    are faded; seeds from history are not in it: a report says what was measured. `weights` names the banners that
    compete, and what a click on each is worth.
    """
    if not weights:
        return {}
    fading = (today, half_life_days, lookback_days)
    cities, trials, clicks = evidence_by_city(rows, trial, fading, list(weights))
    row = cities.index(city) if city in cities else None
    if city is None:
        row, trials, clicks = 0, trials.sum(axis=0, keepdims=True), clicks.sum(axis=0, keepdims=True)
    posterior = fit(trials, clicks)
    rates = posterior_draws(posterior, row, np.random.default_rng(SEED), DRAWS)
    best = (rates * list(weights.values())).argmax(axis=1)
    p_best = np.bincount(best, minlength=len(weights)) / DRAWS
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(rates, [tail, 1 - tail], axis=0)
    columns = (p_best, posterior.mean(row), low, high, posterior.borrowed_trials(row))
    return {banner: Belief(*each) for banner, *each in zip(weights, *(one.tolist() for one in columns), strict=True)}

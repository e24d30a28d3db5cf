"""Where the race of a slot's banners stands: whether looking further could still gain anything.

A report, never an act: it is a pure function of the evidence, so what it says is revoked as soon as the evidence says
otherwise. The value remaining is that of S. L. Scott (Applied Stochastic Models in Business and Industry 26, 2010).
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from bandit.fading import fade
from bandit.model import CountRow, Trial
from bandit.posterior import Array, SlotPosterior, draw_beta, fit
from bandit.reports import clamped, trials_of

WINS_AT = 0.95
"""P(best) of a winner, and the probability with which the value remaining is no more than it says."""
LEADS_AT = 0.8
NEGLIGIBLE = 0.01
"""Of the best banner's value: what nobody would go on looking for."""
DRAWS = 2000
SEED = 20_250_101
"""The same evidence always has the same standing."""
MOST_CITIES = 50
"""Those with most trials are looked at one by one, the others together as one."""


class State(StrEnum):
    """What can be said by now."""

    EXPLORING = "exploring"
    LEADER = "leader"
    WINNER = "winner"
    TIE = "tie"


class BannerStanding(NamedTuple):
    """One banner over all cities, each with its share of the traffic."""

    banner: str
    trials: float
    """Faded by age."""
    value_per_trial: float
    """Expected."""
    p_best: float
    expected_loss: float
    """Value per trial that showing only this banner would lose against the best, whichever that is."""


class Standing(NamedTuple):
    """The race of one slot."""

    state: State
    banners: tuple[BannerStanding, ...]
    """Most likely best first."""
    ahead: tuple[str, ...]
    """The winner, the leader, or those between which it makes no difference; nobody while exploring."""
    value_remaining: float | None
    """Of the best banner's value: with probability 0.95 no other banner is better by more. None without banners and
    without trials, since before any it would speak of the prior alone."""


def standing(
    rows: Iterable[CountRow],
    *,
    trial: Trial,
    today: int,
    half_life_days: float | None,
    lookback_days: int,
    weights: Mapping[str, float],
) -> Standing:
    """From counts; `weights` names the banners that compete, and what a click on each is worth."""
    fading = (today, half_life_days, lookback_days)
    _, trials, clicks = evidence_by_city(rows, trial, fading, list(weights))
    return standing_of(trials, clicks, weights)


def standing_of(trials: Array, clicks: Array, weights: Mapping[str, float]) -> Standing:
    """From faded evidence, (cities, banners) each, at least one city; `weights` names the banners in their order."""
    if not weights:
        return Standing(State.EXPLORING, (), (), None)
    trials, clicks = _largest(trials, clicks)
    value = np.array(list(weights.values()))
    shares = _traffic(trials)
    draws = value * slot_draws(fit(trials, clicks), shares, np.random.default_rng(SEED), DRAWS)
    return judge(tuple(weights), trials.sum(axis=0), draws)


def judge(banners: tuple[str, ...], trials: Array, draws: Array) -> Standing:
    """From draws (draws, banners) of the value per trial; without `trials` (banners,) no value remaining."""
    p_best = np.bincount(draws.argmax(axis=1), minlength=len(banners)) / len(draws)
    best = draws.max(axis=1)
    loss, mean = (best[:, np.newaxis] - draws).mean(axis=0), draws.mean(axis=0)
    first = int(p_best.argmax())
    remaining = float(np.quantile(best / np.maximum(draws[:, first], np.finfo(np.float64).tiny) - 1, WINS_AT))
    columns = (banners, trials.tolist(), mean.tolist(), p_best.tolist(), loss.tolist())
    standings = [BannerStanding(*each) for each in zip(*columns, strict=True)]
    standings.sort(key=lambda one: (-one.p_best, one.expected_loss))
    state = _state(float(p_best[first]), remaining)
    return Standing(state, tuple(standings), _ahead(state, standings), remaining if trials.any() else None)


def _state(p_best: float, remaining: float) -> State:
    if p_best >= WINS_AT:
        return State.WINNER
    if remaining <= NEGLIGIBLE:
        return State.TIE
    return State.LEADER if p_best >= LEADS_AT else State.EXPLORING


def _ahead(state: State, standings: list[BannerStanding]) -> tuple[str, ...]:
    if state is State.EXPLORING:
        return ()
    if state is not State.TIE:
        return (standings[0].banner,)
    value = max(one.value_per_trial for one in standings)
    return tuple(one.banner for one in standings if one.expected_loss <= NEGLIGIBLE * value)


def slot_draws(posterior: SlotPosterior, shares: Array, rng: np.random.Generator, draws: int) -> Array:
    """Click rates (draws, banners) of the slot: those of its cities, by their shares (cities,) of the traffic."""
    return np.asarray(sum(shares[city] * rates for city, rates in joint_draws(posterior, rng, draws)))


def joint_draws(posterior: SlotPosterior, rng: np.random.Generator, draws: int) -> Iterator[tuple[int, Array]]:
    """Each city of the evidence with its click rates (draws, banners), for sums over cities.

    As `bandit.posterior.posterior_draws`, but with one sigma and one mu for all cities of a draw. Drawn for each city
    anew, what is unknown of mu would cancel out in a sum, and a guess would look like knowledge.
    """
    sigma = rng.choice(posterior.chances.size, size=draws, p=posterior.chances)
    mu = draw_beta(posterior.a[sigma], posterior.b[sigma], rng)
    prior_clicks, prior_rest = (posterior.kappa[sigma, np.newaxis] * each for each in (mu, 1 - mu))
    for city, (trials, clicks) in enumerate(zip(posterior.trials, posterior.clicks, strict=True)):
        yield city, draw_beta(prior_clicks + clicks, prior_rest + (trials - clicks), rng)


def evidence_by_city(
    rows: Iterable[CountRow], trial: Trial, fading: tuple[int, float | None, int], banners: list[str]
) -> tuple[list[str], Array, Array]:
    """The cities there are counts of, and faded trials and clicks, (cities, banners) each; one row of 0 without any.

    `fading` is today, the half-life and the lookback in days, as `bandit.fading.fade` takes them.
    """
    column = {banner: index for index, banner in enumerate(banners)}
    cities: dict[str, Array] = {}
    today, half_life_days, lookback_days = fading
    for row in rows:
        if row.banner in column:
            counted, weight = clamped(row), fade(today - row.day, half_life_days, lookback_days)
            cell = cities.setdefault(row.city, np.zeros((2, len(banners))))[:, column[row.banner]]
            cell += weight * np.array([trials_of(counted, trial), counted.clicks])
    stacked = np.array(list(cities.values())) if cities else np.zeros((1, 2, len(banners)))
    return list(cities), stacked[:, 0], stacked[:, 1]


def _largest(trials: Array, clicks: Array) -> tuple[Array, Array]:
    """The cities with most trials, the others summed up in one row."""
    order = np.argsort(-trials.sum(axis=1), kind="stable")
    first, rest = order[:MOST_CITIES], order[MOST_CITIES:]

    def rows(matrix: Array) -> Array:
        return np.vstack([matrix[first], matrix[rest].sum(axis=0)]) if rest.size else matrix[first]

    return rows(trials), rows(clicks)


def _traffic(trials: Array) -> Array:
    """The share of each city, (cities,); equal ones while there is no traffic."""
    total = trials.sum(axis=1)
    if not total.sum():
        return np.full(len(total), 1 / len(total))
    shares: Array = total / total.sum()
    return shares

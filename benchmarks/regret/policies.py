"""Ways to choose. Each is a function of the evidence; `cities` has the city of every visitor until the next refresh."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.posterior import fit, posterior_draws
from bandit.thompson import CHOICE_GAMMA

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Choose = Callable[[Array, Array, Rows, np.random.Generator], Rows]
"""(trials, clicks, cities, rng) -> the banner of each visitor; trials and clicks are (cities, banners)."""

WARM_TRIALS = 100
TOLD = "told the slot's rates"


class Policy(NamedTuple):
    """A named way to choose; `start` makes one for a world of so many (cities, banners), with a seed."""

    name: str
    start: Callable[[tuple[int, int], int], Choose]
    explores: bool = False
    """Whether the service's `exploration_share` is on top, as it is whenever it learns."""


def stateless(name: str, choose: Choose, *, explores: bool = False) -> Policy:
    """One that knows nothing but the evidence it is given."""
    return Policy(name, lambda *_: choose, explores)


def hierarchical(gamma: float = CHOICE_GAMMA) -> Choose:
    """Ours. One draw for each visitor instead of 1,000 for each city: the same chances, without their rounding."""

    def choose(trials: Array, clicks: Array, cities: Rows, rng: np.random.Generator) -> Rows:
        rates = posterior_draws(fit(trials, clicks), cities, rng, cities.size, gamma=gamma)
        best: Rows = rates.argmax(axis=1)
        return best

    return choose


def uniform(trials: Array, _: Array, cities: Rows, rng: np.random.Generator) -> Rows:
    """Any banner."""
    return rng.integers(trials.shape[1], size=cities.size)


def alone(prior_a: float, prior_b: float) -> Choose:
    """Thompson sampling in each city by itself."""

    def choose(trials: Array, clicks: Array, cities: Rows, rng: np.random.Generator) -> Rows:
        return _thompson(prior_a + clicks, prior_b + trials - clicks, cities, rng)

    return choose


def pooled(prior_a: float, prior_b: float) -> Choose:
    """Thompson sampling with one posterior for all cities."""

    def choose(trials: Array, clicks: Array, cities: Rows, rng: np.random.Generator) -> Rows:
        won, tried = clicks.sum(axis=0, keepdims=True), trials.sum(axis=0, keepdims=True)
        return _thompson(prior_a + won, prior_b + tried - won, np.zeros_like(cities), rng)

    return choose


def impressions_as_failures(trials: Array, clicks: Array, cities: Rows, rng: np.random.Generator) -> Rows:
    """Beta(1 + clicks, 1 + impressions), as in public bandit services: a true rate of 1/2 is read as 1/3."""
    return _thompson(1 + clicks, 1 + trials, cities, rng)


def fallback_without_clicks(trials: Array, clicks: Array, cities: Rows, rng: np.random.Generator) -> Rows:
    """Beta(clicks, others), but Beta(1, 1) for a banner without clicks, however often it was shown."""
    clicked = clicks > 0
    others = np.maximum(trials - clicks, 1)
    return _thompson(np.where(clicked, clicks, 1), np.where(clicked, others, 1), cities, rng)


def newcomers_first(trials: Array, clicks: Array, cities: Rows, rng: np.random.Generator) -> Rows:
    """Everything to the first banner that is not warm yet in the city, then Beta(1 + clicks, 1 + others)."""
    cold = trials[cities] < WARM_TRIALS
    warm = _thompson(1 + clicks, 1 + trials - clicks, cities, rng)
    return np.where(cold.any(axis=1), cold.argmax(axis=1), warm)


def told(rates: Array, sigma: float) -> Policy:
    """Is told each banner's rate in the slot, (banners,), and sigma, which others have to learn, and shows what it then
    expects to be best: about the least that a city can cost whose own tastes nobody knows. For visitors of one city.
    """
    steps = np.linspace(-4, 4, 81)
    grid = 1 / (1 + np.exp(-(np.log(rates / (1 - rates))[:, np.newaxis] + sigma * steps)))

    def choose(trials: Array, clicks: Array, cities: Rows, _: np.random.Generator) -> Rows:
        won, lost = clicks[cities[0], :, np.newaxis], (trials - clicks)[cities[0], :, np.newaxis]
        chances = np.exp(won * np.log(grid) + lost * np.log1p(-grid) - steps**2 / 2)
        expected = (chances * grid).sum(axis=1) / chances.sum(axis=1)
        return np.full(cities.size, expected.argmax())

    return stateless(TOLD, choose)


def _thompson(a: Array, b: Array, cities: Rows, rng: np.random.Generator) -> Rows:
    best: Rows = rng.beta(a[cities], b[cities]).argmax(axis=1)
    return best


class MabwiserByCity:
    """MABWiser's Thompson sampling, one bandit a city, told what is new since the last refresh."""

    def __init__(self, shape: tuple[int, int], seed: int) -> None:
        from mabwiser.mab import MAB, LearningPolicy

        cities, self._banners = shape
        arms = list(range(self._banners))
        self._bandits = [MAB(arms, LearningPolicy.ThompsonSampling(), seed=seed + city) for city in range(cities)]
        self._trials, self._clicks = np.zeros(shape), np.zeros(shape)
        self._started = [False] * cities

    def __call__(self, trials: Array, clicks: Array, cities: Rows, rng: np.random.Generator) -> Rows:
        for city in np.flatnonzero((trials != self._trials).any(axis=1) | (clicks != self._clicks).any(axis=1)):
            self._learn(int(city), trials[city] - self._trials[city], clicks[city] - self._clicks[city])
        self._trials, self._clicks = trials.copy(), clicks.copy()
        chosen = rng.integers(self._banners, size=cities.size)
        for city in np.unique(cities):
            if self._started[city]:
                here = np.flatnonzero(cities == city)
                chosen[here] = self._bandits[city].predict(np.zeros((here.size, 1)))
        return chosen

    def _learn(self, city: int, trials: Array, clicks: Array) -> None:
        arms = np.arange(self._banners)
        won, lost = clicks.astype(int), (trials - clicks).astype(int)
        decisions = np.concatenate([np.repeat(arms, won), np.repeat(arms, lost)])
        rewards = np.repeat([1, 0], [won.sum(), lost.sum()])
        bandit = self._bandits[city]
        (bandit.partial_fit if self._started[city] else bandit.fit)(decisions, rewards)
        self._started[city] = True


OURS = stateless("cities share strength", hierarchical(), explores=True)
UNIFORM = stateless("uniform", uniform)
ALONE = stateless("each city alone, Beta(1, 1)", alone(1, 1), explores=True)
ALONE_LOW = stateless("each city alone, Beta(1, 49)", alone(1, 49), explores=True)
POOLED = stateless("one for all cities, Beta(1, 1)", pooled(1, 1), explores=True)
POOLED_LOW = stateless("one for all cities, Beta(1, 49)", pooled(1, 49), explores=True)
BASELINES = (ALONE, ALONE_LOW, POOLED, POOLED_LOW)
GAMMA_ONE = stateless("cities share strength, gamma 1", hierarchical(1.0), explores=True)
MABWISER = Policy("MABWiser, a bandit a city", MabwiserByCity)
COUNTERS = (
    stateless("counters: impressions as failures", impressions_as_failures),
    stateless("counters: no click, Beta(1, 1)", fallback_without_clicks),
    stateless("counters: newcomers first", newcomers_first),
)
"""Rules without a prior, seen in public bandit services."""

"""Worlds to learn in: cities with their share of the visitors, and what each banner is clicked there."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TYPICAL_RATE = 0.02
BANNER_SPREAD = 0.5
"""Standard deviation of the log odds between banners."""


class Shape(NamedTuple):
    """What kind of world; spreads are standard deviations of log odds."""

    sigma: float
    """How far each banner's rate differs between cities: heterogeneity."""
    cities: int = 50
    banners: int = 10
    city_effect: float = 0.0
    """How far cities differ in all banners alike."""
    specialists: int = 0
    """Banners that are poor everywhere and three times the best in one city."""
    is_planted: bool = False
    """One banner of 4 %, the others from 1 % to 2.5 %, instead of drawn ones: which is best is clear in every run."""


@dataclass(frozen=True, slots=True)
class World:
    """The truth; nobody who chooses knows it."""

    traffic: Array
    """Share of the visitors, (cities,): the n-th largest city has 1/n of the largest's."""
    rates: Array
    """Clicks per impression, (cities, banners)."""

    def lost(self) -> Array:
        """Expected clicks lost by one impression, (cities, banners)."""
        lost: Array = self.rates.max(axis=1, keepdims=True) - self.rates
        return lost

    def swapped(self) -> "World":
        """The banners that are best and worst over all cities have changed places."""
        average = self.traffic @ self.rates
        best, worst = int(average.argmax()), int(average.argmin())
        rates = self.rates.copy()
        rates[:, [best, worst]] = rates[:, [worst, best]]
        return replace(self, rates=rates)

    def drifted(self, rng: np.random.Generator, spread: float) -> "World":
        """Every log odds has moved by a normal step of this standard deviation."""
        return replace(self, rates=_rates(_log_odds(self.rates) + spread * rng.standard_normal(self.rates.shape)))


def draw_world(shape: Shape, rng: np.random.Generator) -> World:
    """A world of this kind."""
    size = (shape.cities, shape.banners)
    typical = _log_odds(np.array(TYPICAL_RATE)) + BANNER_SPREAD * rng.standard_normal(shape.banners)
    planted = _log_odds(np.append(np.linspace(0.01, 0.025, shape.banners - 1), 0.04))
    log_odds = (planted if shape.is_planted else typical) + shape.sigma * rng.standard_normal(size)
    if shape.city_effect:
        log_odds += shape.city_effect * rng.standard_normal((shape.cities, 1))
    rates = _rates(log_odds)
    for banner in range(shape.specialists):
        rates[:, banner] = rates.min(axis=1)
        city = int(rng.integers(shape.cities))
        rates[city, banner] = min(3 * rates[city].max(), 0.5)
    weights = 1 / np.arange(1, shape.cities + 1)
    return World(weights / weights.sum(), rates)


def _log_odds(rates: Array) -> Array:
    odds: Array = np.log(rates / (1 - rates))
    return odds


def _rates(log_odds: Array) -> Array:
    rates: Array = 1 / (1 + np.exp(-log_odds))
    return rates

"""One run: visitors come, are shown banners by a policy, click or do not, and the evidence grows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandit.model import EXPLORATION_SHARE
from benchmarks.regret.policies import Policy
from benchmarks.regret.world import World

Array = NDArray[np.float64]
Change = Callable[[World, int], World]
"""(world, day) -> the world from that day on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a run is, and how its time passes."""

    impressions: int = 300_000
    refresh: int = 1_000
    """Impressions between two looks at the evidence."""
    delay: int = 0
    """Impressions that pass before a click is known; the impression itself is known at once."""
    a_day: int = 50_000
    half_life_days: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What happened, (refreshes, ...)."""

    lost: Array
    """Expected clicks lost, in each refresh and city."""
    shown: Array
    """Impressions of each banner in each refresh."""
    evidence: tuple[Array, Array]
    """Trials and clicks as they are known at the end."""

    @property
    def regret(self) -> float:
        return float(self.lost.sum())

    def curve(self) -> Array:
        """Clicks lost so far, (refreshes,)."""
        curve: Array = self.lost.sum(axis=1).cumsum()
        return curve


def simulate(
    world: World,
    policy: Policy,
    seed: int,
    terms: Terms,
    *,
    change: Change | None = None,
    evidence: tuple[Array, Array] | None = None,
) -> Run:
    """The same seed gives the same run. `evidence` is what is known at the start; nothing by default."""
    rng = np.random.default_rng(seed)
    shape = world.rates.shape
    choose = policy.start(shape, seed)
    refreshes = terms.impressions // terms.refresh
    known = _Evidence(*(evidence or (np.zeros(shape), np.zeros(shape))), refreshes, terms)
    lost, shown = np.zeros((refreshes, shape[0])), np.zeros((refreshes, shape[1]))
    for refresh in range(refreshes):
        day = known.begin(refresh)
        if day is not None and change is not None:
            world = change(world, day)
        cities = rng.choice(shape[0], size=terms.refresh, p=world.traffic)
        banners = choose(known.trials, known.clicks, cities, rng)
        if policy.explores:  # only one that learns as the service does pays for it
            explores = rng.random(terms.refresh) < EXPLORATION_SHARE
            banners = np.where(explores, rng.integers(shape[1], size=terms.refresh), banners)
        clicked = rng.random(terms.refresh) < world.rates[cities, banners]
        known.add(refresh, cities, banners, clicked)
        lost[refresh] = np.bincount(cities, world.lost()[cities, banners], minlength=shape[0])
        shown[refresh] = np.bincount(banners, minlength=shape[1])
    return Run(lost, shown, (known.trials, known.clicks))


class _Evidence:
    """Trials and clicks as far as they are known, faded day by day."""

    def __init__(self, trials: Array, clicks: Array, refreshes: int, terms: Terms) -> None:
        self.trials, self.clicks = trials.copy(), clicks.copy()
        self._terms = terms
        self._waiting: list[list[tuple[NDArray[np.intp], NDArray[np.intp]]]] = [[] for _ in range(refreshes + 1)]

    def begin(self, refresh: int) -> int | None:
        """What has become known; the day, if one begins."""
        for place in self._waiting[refresh]:
            np.add.at(self.clicks, place, 1)
        self._waiting[refresh].clear()
        day, into = divmod(refresh * self._terms.refresh, self._terms.a_day)
        if into >= self._terms.refresh:
            return None
        if self._terms.half_life_days and day:
            factor = 0.5 ** (1 / self._terms.half_life_days)
            self.trials, self.clicks = self.trials * factor, self.clicks * factor
        return day

    def add(
        self, refresh: int, cities: NDArray[np.intp], banners: NDArray[np.intp], clicked: NDArray[np.bool_]
    ) -> None:
        """Impressions of this refresh; their clicks become known at the first refresh after the delay."""
        np.add.at(self.trials, (cities, banners), 1)
        due = refresh + 1 + (np.arange(cities.size) + self._terms.delay) // self._terms.refresh
        due = np.minimum(due, len(self._waiting) - 1)[clicked]
        for at in np.unique(due):
            mine = due == at
            self._waiting[at].append((cities[clicked][mine], banners[clicked][mine]))

"""What one slot has learned: cumulative counts by day, faded and folded into matrices of trials and clicks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandit.fading import fade
from bandit.model import OTHER, UNKNOWN, Banner, CountRow, Seed, Slot, Tenant, Trial
from bandit.posterior import SlotPosterior, fit
from storage.base import Store

Matrix = NDArray[np.float64]

LIVE_DAYS = 2
"""Today and yesterday: the days whose counts are read again whenever they change."""


@dataclass(frozen=True, slots=True)
class SlotEvidence:
    """Faded trials and clicks, seeds included, of a slot's cities and banners, and the posterior fitted to them."""

    cities: Mapping[str, int]
    """City id -> row; every city of the tenant, then OTHER and UNKNOWN."""
    banners: Mapping[str, int]
    """Banner id -> column."""
    trials: Matrix
    clicks: Matrix
    unfaded: Matrix
    """Trials at their full weight, however old."""
    city_trials: list[float]
    """The sum over all banners, by row; so is city_clicks."""
    city_clicks: list[float]
    slot_trials: float
    banner_trials: Matrix
    """Unfaded, the sum over all cities, (banners,): whether a banner is still new."""
    posterior: SlotPosterior

    def matrices(self) -> tuple[Matrix, Matrix, Matrix]:
        """What all the rest is computed from."""
        return self.trials, self.clicks, self.unfaded


class SlotHistory:
    """Reads one slot's evidence, again only as far as it may have changed."""

    def __init__(self, tenant: Tenant, slot: Slot, banners: Iterable[Banner]) -> None:
        self._tenant = tenant
        self._slot = slot
        self._cities = {city: row for row, city in enumerate((*tenant.cities, OTHER, UNKNOWN))}
        self._banners = {banner.id: column for column, banner in enumerate(banners)}
        self._today: int | None = None
        self._older = self._nothing()
        self._seeds = self._nothing()
        self._known: tuple[Matrix, SlotEvidence] | None = None

    def read(self, store: Store, today: int, *, older: bool, seeds: bool) -> SlotEvidence:
        """The evidence as of today; `older` and `seeds` say that those may have changed since the last call."""
        if older or today != self._today:
            self._older = self._counts(store, today, today - self._slot.lookback_days, today - LIVE_DAYS)
        if seeds or self._today is None:
            self._seeds = self._fold_seeds(store.seeds(self._tenant.id, self._slot.id))
        self._today = today
        live = self._counts(store, today, today - LIVE_DAYS + 1, today)
        return self.evidence(self._older + live + self._seeds)

    def evidence(self, total: Matrix) -> SlotEvidence:
        """From trials, clicks and unfaded trials, shape (3, cities, banners); fitted only where they changed."""
        if self._known is None or not np.array_equal(self._known[0], total):
            self._known = total, self._fitted(total)
        return self._known[1]

    def _fitted(self, total: Matrix) -> SlotEvidence:
        trials, clicks, unfaded = total[0], np.minimum(total[1], total[0]), total[2]
        return SlotEvidence(
            self._cities,
            self._banners,
            trials,
            clicks,
            unfaded,
            city_trials=trials.sum(axis=1).tolist(),
            city_clicks=clicks.sum(axis=1).tolist(),
            slot_trials=float(trials.sum()),
            banner_trials=unfaded.sum(axis=0),
            posterior=fit(trials, clicks),
        )

    def empty(self) -> SlotEvidence:
        """Before anything was read."""
        return self.evidence(self._nothing())

    def carried(self, known: SlotEvidence) -> SlotEvidence:
        """What was known of the slot as it was configured before; a removed city's part is added to OTHER's."""
        if known.cities == self._cities and known.banners == self._banners:
            return known
        rows = [self._cities.get(city, self._cities[OTHER]) for city in known.cities]
        kept = [banner for banner in known.banners if banner in self._banners]
        columns = [self._banners[banner] for banner in kept]
        old_columns = [known.banners[banner] for banner in kept]
        total = self._nothing()
        for matrix, old in zip(total, known.matrices(), strict=True):
            np.add.at(matrix, np.ix_(rows, columns), old[:, old_columns])
        return self.evidence(total)

    def _nothing(self) -> Matrix:
        return np.zeros((3, len(self._cities), len(self._banners)))

    def _counts(self, store: Store, today: int, first_day: int, last_day: int) -> Matrix:
        total = self._nothing()
        first_day = max(first_day, today - self._slot.lookback_days)
        if first_day > last_day:
            return total
        rows = store.counts(self._tenant.id, self._slot.id, first_day, last_day)
        self._fold(total, rows, today)
        return total

    def _fold(self, total: Matrix, rows: Iterable[CountRow], today: int) -> None:
        other, half_life, lookback = self._cities[OTHER], self._slot.half_life_days, self._slot.lookback_days
        viewed = self._slot.trial == Trial.VIEWED
        weights: dict[int, float] = {}
        for row in rows:
            column = self._banners.get(row.banner)
            if column is None:
                continue
            weight = weights.get(row.day)
            if weight is None:
                weight = weights[row.day] = fade(today - row.day, half_life, lookback)
            city = self._cities.get(row.city, other)
            trials = row.viewed if viewed else row.served
            total[:, city, column] += (weight * trials, weight * row.clicks, trials)

    def _fold_seeds(self, seeds: Iterable[Seed]) -> Matrix:
        total = self._nothing()
        for seed in seeds:
            city, column = self._cities.get(seed.city), self._banners.get(seed.banner)
            if city is not None and column is not None:
                total[:, city, column] += (seed.trials, seed.clicks, seed.trials)
        return total

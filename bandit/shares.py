"""From selection probabilities to the shares that are served: exploration first, then floors and ceilings."""

import numpy as np
from numpy.typing import ArrayLike

from bandit.posterior import Array

SMALLEST_SHARE = 1e-9
"""What a banner without any other claim keeps, so that no probability that could be logged is 0."""


def apply(probabilities: ArrayLike, *, exploration_share: float, min_shares: ArrayLike, max_shares: ArrayLike) -> Array:
    """The probabilities to draw from, (banners,); they sum to 1.

    `exploration_share` is spread evenly over the banners; then every banner is held between its `min_shares` and its
    `max_shares`, (banners,) each, while the others keep their proportions. Every banner keeps a probability above 0
    unless its ceiling is 0.

    What cannot be had gives way: ceilings that sum to less than 1 are raised by one factor (to equal shares when all
    are 0), a floor above its ceiling ends there, and floors that sum to more than 1 are lowered by one factor.
    """
    learned = np.asarray(probabilities, dtype=np.float64)
    wanted = exploration_share / learned.size + (1 - exploration_share) * learned
    ceilings = _feasible_ceilings(np.asarray(max_shares, dtype=np.float64))
    floors = _feasible_floors(np.asarray(min_shares, dtype=np.float64), ceilings)
    return _fill(np.maximum(wanted, SMALLEST_SHARE), floors, ceilings)


def hold_newcomers(max_shares: ArrayLike, trials: ArrayLike, *, until_trials: float, share: float) -> Array:
    """The ceilings, (banners,), with which no new banner takes more than `share` beside those already known.

    A banner is new while its `trials` in the slot are fewer than `until_trials`. Where all are new there is nothing yet
    to be protected from them, and `max_shares` stay.
    """
    ceilings = np.asarray(max_shares, dtype=np.float64)
    is_new = np.asarray(trials) < until_trials
    return ceilings if is_new.all() else np.where(is_new, np.minimum(ceilings, share), ceilings)


def _feasible_ceilings(ceilings: Array) -> Array:
    total = float(ceilings.sum())
    if total >= 1:
        return ceilings
    if total == 0:
        return np.full(ceilings.size, 1 / ceilings.size)
    return ceilings / total


def _feasible_floors(floors: Array, ceilings: Array) -> Array:
    floors = np.minimum(np.maximum(floors, SMALLEST_SHARE), ceilings)
    return floors / max(1.0, float(floors.sum()))


def _fill(wanted: Array, floors: Array, ceilings: Array) -> Array:
    """clip(t x wanted, floors, ceilings) for the t at which it sums to 1.

    The sum grows with t, in straight lines between the values of t at which a banner leaves its floor or meets its
    ceiling: find the line that crosses 1, and interpolate on it.
    """
    turns = np.sort(np.concatenate([floors / wanted, ceilings / wanted]))
    shares: Array = np.clip(turns[:, np.newaxis] * wanted, floors, ceilings)
    totals = shares.sum(axis=1)
    above = min(int(np.searchsorted(totals, 1.0)), turns.size - 1)
    below = max(above - 1, 0)
    step = float(totals[above] - totals[below])
    part = min((1 - float(totals[below])) / step, 1.0) if step > 0 else 1.0
    result: Array = shares[below] + part * (shares[above] - shares[below])
    return result

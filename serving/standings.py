"""Where the race of each slot stands, computed from what the process knows and kept for a minute."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from bandit.model import Seed
from bandit.standing import Standing, standing_of
from serving.evidence import Matrix, SlotEvidence
from serving.slot_view import SlotView
from storage.base import Store

KEPT_US = 60_000_000
"""Drawing for a slot takes as long as some hundred requests for banners."""


class _Known(NamedTuple):
    view: SlotView
    evidence: SlotEvidence
    standing: Standing
    computed_us: int


class Standings:
    """Those computed by one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str], _Known] = {}

    def get(self, view: SlotView, now_us: int, *, has_time: Callable[[], bool] = lambda: True) -> Standing | None:
        """The slot's standing, up to a minute old; None where none is known and there is no time to compute one."""
        key = (view.tenant.id, view.slot.id)
        known = self._known.get(key)
        if known is not None and _is_fresh(known, view, now_us):
            return known.standing
        if has_time():
            found = standing_of(*measured(view, self._store.seeds(*key)), _weights(view))
            self._known[key] = known = _Known(view, view.evidence, found, now_us)
        return known.standing if known is not None and known.view is view else None


def measured(view: SlotView, seeds: Iterable[Seed]) -> tuple[Matrix, Matrix]:
    """Faded trials and clicks of the banners that are not paused, (cities, banners) each, without what seeds added."""
    evidence = view.evidence
    trials, clicks = evidence.trials.copy(), evidence.clicks.copy()
    for seed in seeds:
        row, column = evidence.cities.get(seed.city), evidence.banners.get(seed.banner)
        if row is not None and column is not None:
            trials[row, column] -= seed.trials
            clicks[row, column] -= seed.clicks
    columns = [evidence.banners[banner] for banner in _weights(view)]
    trials = np.maximum(trials, 0.0)
    return trials[:, columns], np.clip(clicks, 0.0, trials)[:, columns]


def _is_fresh(known: _Known, view: SlotView, now_us: int) -> bool:
    if known.view is not view:
        return False
    return known.evidence is view.evidence or now_us - known.computed_us < KEPT_US


def _weights(view: SlotView) -> dict[str, float]:
    return {banner.id: banner.weight for banner in view.banners if banner.enabled}

"""Where the race of each slot stands, computed from what the process knows and kept for a minute."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from bandit.model import Seed
from bandit.standing import MOST_CITIES, Standing, standing_of
from serving.daily_counts import HasTime, always
from serving.evidence import Matrix, SlotEvidence
from serving.later import Later
from serving.slot_view import SlotView
from storage.base import Store

KEPT_US = 60_000_000
"""Drawing for a slot takes as long as some hundred requests for banners."""
SECONDS_A_CELL = 2.5e-4
"""About, of 50 cities at most."""


class _Known(NamedTuple):
    view: SlotView
    evidence: SlotEvidence
    standing: Standing
    computed_us: int


class Standings:
    """Those computed by one process."""

    def __init__(self, store: Store, later: Later) -> None:
        self._store = store
        self._later = later
        self._known: dict[tuple[str, str], _Known] = {}

    def get(self, view: SlotView, now_us: int, *, has_time: HasTime = always) -> Standing | None:
        """The slot's standing, a minute old at least as long as somebody looks at it; None where none is known yet and
        there is no time to compute one now."""
        known = self._known.get(_key(view))
        if known is not None and _is_fresh(known, view, now_us):
            return known.standing
        if has_time(SECONDS_A_CELL * min(len(view.evidence.cities), MOST_CITIES) * len(view.banners)):
            return self._compute(view, now_us)
        self._later.add(("standing", _key(view)), partial(self._compute, view, now_us))
        return known.standing if known is not None and known.view is view else None

    def _compute(self, view: SlotView, now_us: int) -> Standing:
        evidence = view.evidence
        found = standing_of(*measured(view, self._store.seeds(*_key(view))), _weights(view))
        self._known[_key(view)] = _Known(view, evidence, found, now_us)
        return found


def _key(view: SlotView) -> tuple[str, str]:
    return view.tenant.id, view.slot.id


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

"""What every study is given, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Result

Array = NDArray[np.float64]
Report = Callable[[str], None]
"""Called with what is done, once a run."""


class Size(NamedTuple):
    """How much is simulated, and how far targets are widened for it."""

    seeds: int
    impressions: int
    slack: float = 1.0

    def limit(self, target: float) -> float:
        """An upper limit as wide as so few runs need."""
        return target * self.slack

    def apart(self, full: float, few: float) -> float:
        """How far a share may be from what it should be: in all runs, or in so few."""
        return full if self.slack == 1 else few


class Row(NamedTuple):
    """One run; also a line of the table of results."""

    study: str
    setting: str
    policy: str
    seed: int
    regret: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study found."""

    rows: list[Row]
    results: list[Result]
    curves: dict[tuple[str, str], Array]
    """(setting, policy) -> clicks lost so far, (seeds, refreshes); for the plot."""

"""A history for the demo tenant: what its shop might have measured last season, when tastes were a little different."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bandit.cold_start import HISTORY_WEIGHT, MAX_STRENGTH, expected_ctr, seeds
from bandit.model import Seed
from commands.demo_catalogue import SEEDED_SLOT
from commands.demo_world import WORLD_SEED, Cell, Rates

if TYPE_CHECKING:
    import pandas as pd

SEED_ID = "last-season"
IMPRESSIONS = 400
"""Of each banner in each city, on average."""
CHANGE = 0.35
"""Standard deviation by which tastes have moved since, on the logarithm of the click rate."""


def season(world: Mapping[Cell, Rates]) -> "pd.DataFrame":
    """Impressions and clicks of every banner and city of the seeded slot; the same in every run."""
    import numpy as np
    import pandas as pd

    pairs = [(banner, city, rate) for (slot, city), rates in world.items() if slot == SEEDED_SLOT
             for banner, rate in rates.items()]  # fmt: skip
    rng = np.random.default_rng(WORLD_SEED)
    frame = pd.DataFrame(pairs, columns=["banner", "city", "rate"])
    impressions = rng.poisson(IMPRESSIONS, len(frame))
    then = (frame["rate"] * np.exp(rng.normal(0, CHANGE, len(frame)))).clip(upper=1)
    return frame[["banner", "city"]].assign(impressions=impressions, clicks=rng.binomial(impressions, then))


def history_seeds(world: Mapping[Cell, Rates]) -> list[Seed]:
    """The seeds of the seeded slot."""
    history = season(world)
    expected = expected_ctr(history, list(history["banner"].unique()), list(history["city"].unique()))
    return seeds(expected, SEED_ID, HISTORY_WEIGHT, MAX_STRENGTH)

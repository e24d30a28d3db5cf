"""Expected click rates from history, as evidence of limited weight to start a slot with.

A regularised logistic regression on banner, city and their pairs gives every pair an expected click rate: a pair with
much history keeps its own rate, a rare one is drawn towards what its banner and its city do elsewhere, and one never
seen gets just that.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bandit.model import OTHER, UNKNOWN, Seed

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

INVERSE_PENALTY = 0.1
"""The regression's C: the effect of a banner, a city or a pair on the logit has the prior N(0, C), sd 0.32.

A compromise, measured on simulated slots (10 banners, 20 cities, effects of sd 0.1 to 1, 20 to 20,000 impressions a
pair) and on held-out halves of the Open Bandit log: there, with 20 clicks over 40 banners, a C of 1 predicts worse than
the plain mean, while slots with much history hardly notice any C.
"""

TOLERANCE = 1e-9
"""On the mean gradient, of which a pair holds only its share of the impressions: the default of 1e-4 stops before the
rare pairs of a large history were fitted at all."""

MAX_ITERATIONS = 5_000

BORROWED_SHARE = 0.1
MOST_BORROWED = 100
LEAST_BORROWED = 1
"""A pair seen rarely or never counts as if it had a tenth of the impressions that its banner has in a city on average,
but 1 to 100: what is known of it is borrowed from other cities, and borrowing adds a tenth to the evidence at most
(apart from the ones of that LEAST)."""

HISTORY_WEIGHT = 0.1
"""Trials for an impression of history, unless somebody says otherwise: it gives a start and is soon outweighed."""

MAX_STRENGTH, HIGHEST_STRENGTH = 200.0, 1e6
"""Most trials of a pair: unless somebody says otherwise, and what may be said."""

DIGITS = 6
"""Decimals of a seed's trials and clicks, so that fitting again gives the same seeds."""


def expected_ctr(history: "pd.DataFrame", banners: Sequence[str], cities: Sequence[str]) -> "pd.DataFrame":
    """The expected click rate of every pair of these banners and cities, also of pairs without history.

    `history` has one row a pair: banner, city (of those given, or OTHER or UNKNOWN), impressions and clicks (whole
    numbers, clicks <= impressions, at least one impression in all). The answer has the same columns and expected_ctr,
    between 0 and 1, and speaks of OTHER and UNKNOWN where there is history of them.
    """
    pairs = _every_pair(history, banners, cities)
    clicks, impressions = pairs["clicks"].sum(), pairs["impressions"].sum()
    if 0 < clicks < impressions:
        return pairs.assign(expected_ctr=_regression(pairs))
    return pairs.assign(expected_ctr=(clicks + 1) / (impressions + 50))  # the prior of a slot without seeds


def seeds(expected: "pd.DataFrame", seed_id: str, weight: float, max_strength: float) -> list[Seed]:
    """One seed for each row of what `expected_ctr` gave.

    An impression of history counts as `weight` trials, and no pair as more than `max_strength`.
    """
    strength = (weight * _known_impressions(expected)).clip(upper=max_strength)
    trials = strength.round(DIGITS)
    clicks = (strength * expected["expected_ctr"]).round(DIGITS)
    rows = zip(expected["city"], expected["banner"], trials, clicks, strict=True)
    return [Seed(seed_id, city, banner, float(tried), float(clicked)) for city, banner, tried, clicked in rows]


def _known_impressions(expected: "pd.DataFrame") -> "pd.Series":
    """A pair's impressions, or what it borrows where that is more."""
    impressions = expected["impressions"]
    in_mean_city = impressions.groupby(expected["banner"]).transform("mean")
    return impressions.clip(lower=(BORROWED_SHARE * in_mean_city).clip(LEAST_BORROWED, MOST_BORROWED))


def _every_pair(history: "pd.DataFrame", banners: Sequence[str], cities: Sequence[str]) -> "pd.DataFrame":
    """The history, with zeros for the pairs it lacks; city by city."""
    import pandas as pd

    rest = [city for city in (OTHER, UNKNOWN) if (history["city"] == city).any()]
    grid = pd.MultiIndex.from_product([[*cities, *rest], banners], names=["city", "banner"])
    counts = history.set_index(["city", "banner"])[["impressions", "clicks"]]
    return counts.reindex(grid, fill_value=0).reset_index()


def _regression(pairs: "pd.DataFrame") -> "NDArray[Any]":
    """The fitted click rate of each row."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    codes = _codes(pairs)
    seen = np.flatnonzero(pairs["impressions"])
    # A banner, city or pair without history has no column of its own, hence no effect: the average of its kind.
    features = OneHotEncoder(handle_unknown="ignore").fit(codes[seen]).transform(codes)
    clicks = pairs["clicks"].to_numpy()[seen]
    others = pairs["impressions"].to_numpy()[seen] - clicks
    # Each pair stands for all its impressions in two weighted rows: those clicked, and those not.
    model = LogisticRegression(C=INVERSE_PENALTY, tol=TOLERANCE, max_iter=MAX_ITERATIONS)
    # On a busy machine, threads that wait for each other make so small a fit ten times slower.
    with threadpool_limits(1):
        model.fit(features[np.tile(seen, 2)], np.repeat([1, 0], len(seen)), np.concatenate([clicks, others]))
    rates: NDArray[Any] = model.predict_proba(features)[:, 1]
    return rates


def _codes(pairs: "pd.DataFrame") -> "NDArray[Any]":
    """Banner, city and pair of each row as whole numbers; (rows, 3)."""
    import numpy as np
    from sklearn.preprocessing import LabelEncoder

    banner = LabelEncoder().fit_transform(pairs["banner"])
    city = LabelEncoder().fit_transform(pairs["city"])
    return np.column_stack([banner, city, banner * (city.max() + 1) + city])

"""Which cities click alike: k-means on what each city clicks, compared with what all do."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.posterior import Array, fit

MOST_CLUSTERS = 8
STARTS = 3
WORLDS = 40
SIGNIFICANT = 0.95
"""Share of made-up worlds without groups, of either kind, whose best silhouette the real one must exceed."""
SEED = 20_250_101
ROUNDING = 1e-9
"""Log odds that differ by less are the same."""


class Clusters(NamedTuple):
    """Groups of cities."""

    labels: NDArray[np.intp]
    """(cities,), 0 for the largest group; all 0 where there are no groups."""
    profiles: Array
    """(cities, banners): the logit of the expected click rate, less what the city and the banner do on average."""
    rates: Array
    """(cities, banners), expected."""
    silhouettes: tuple[float, ...]
    """For 2, 3, ... clusters: from -1 to 1, the larger the better they are apart."""
    by_chance: float
    """The silhouette that chance alone rarely exceeds."""

    @property
    def groups(self) -> int:
        """How many groups."""
        return int(self.labels.max()) + 1


def cluster(trials: Array, clicks: Array) -> Clusters:
    """From evidence (cities, banners). At least 4 cities and 2 banners, else ValueError.

    The number of clusters is the one with the best silhouette (Rousseeuw, J. Comput. Appl. Math. 20, 1987). They are
    reported only where it is better than in worlds in which all cities like the same banners, and than in worlds in
    which each city has tastes of its own.
    """
    cities, banners = trials.shape
    if cities < 4 or banners < 2:
        raise ValueError(f"{cities} cities with traffic and {banners} banners; 4 and 2 are the least")
    rates, profiles = _profiles(trials, clicks)
    counts = range(2, min(MOST_CLUSTERS, cities - 1) + 1)
    silhouettes, labels = _best(profiles, counts)
    rng = np.random.default_rng(SEED)
    alike = (_profiles(trials, clicks)[1] for clicks in _clicks_of_alike(trials, rates, rng))
    unlike = (_centred(rng.permuted(profiles, axis=0)) for _ in range(WORLDS))
    by_chance = max(_usual(worlds, counts) for worlds in (alike, unlike))
    if max(silhouettes) <= by_chance:
        labels = np.zeros(cities, dtype=np.intp)
    return Clusters(_largest_first(labels), profiles, rates, silhouettes, by_chance)


def _clicks_of_alike(trials: Array, rates: Array, rng: np.random.Generator) -> Iterator[Array]:
    """Clicks of worlds in which cities and banners differ, but no city in which banners it likes."""
    logits = np.log(rates / (1 - rates))
    additive = logits - _centred(logits)
    for _ in range(WORLDS):
        yield rng.binomial(np.round(trials).astype(np.int64), 1 / (1 + np.exp(-additive))).astype(np.float64)


def _usual(worlds: Iterable[Array], counts: Sequence[int]) -> float:
    return float(np.quantile([max(_best(profiles, counts)[0]) for profiles in worlds], SIGNIFICANT))


def _profiles(trials: Array, clicks: Array) -> tuple[Array, Array]:
    posterior = fit(trials, clicks)
    rates = np.array([posterior.mean(city) for city in range(len(trials))])
    logits = np.log(rates / (1 - rates))
    return rates, _centred(logits)


def _centred(matrix: Array) -> Array:
    """Less what each row and each column has on average."""
    by_row = matrix - matrix.mean(axis=1, keepdims=True)
    centred: Array = by_row - by_row.mean(axis=0)
    return centred


def _best(profiles: Array, counts: Sequence[int]) -> tuple[tuple[float, ...], NDArray[np.intp]]:
    """The silhouette for each number of clusters, and the labels of the best."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if np.abs(profiles).max() < ROUNDING:  # no city differs in anything
        return (0.0,) * len(counts), np.zeros(len(profiles), dtype=np.intp)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of cities that are equal: there are fewer groups then
        labels = [KMeans(count, n_init=STARTS, random_state=SEED).fit_predict(profiles) for count in counts]
    scores = tuple(float(silhouette_score(profiles, each)) for each in labels)
    return scores, np.asarray(labels[int(np.argmax(scores))], dtype=np.intp)


def _largest_first(labels: NDArray[np.intp]) -> NDArray[np.intp]:
    order = np.argsort(-np.bincount(labels), kind="stable")
    return np.argsort(order)[labels]

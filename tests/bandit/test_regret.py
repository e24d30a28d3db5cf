"""Clicks lost while learning, side by side with an independent implementation of Thompson sampling."""

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from numpy.typing import NDArray

from bandit.shares import apply
from bandit.thompson import selection_probabilities

SEEDS, IMPRESSIONS, REFRESH = 40, 10_000, 500
RATES = np.linspace(0.01, 0.05, 10)
LOST = RATES.max() - RATES


def clicks_of(seed: int) -> NDArray[np.bool_]:
    """Whether the n-th showing of each banner is clicked, (banners, impressions): the same for both sides."""
    return np.random.default_rng([seed, 0]).random((RATES.size, IMPRESSIONS)) < RATES[:, np.newaxis]


def our_regret(seed: int) -> float:
    """Expected clicks lost, with the exploration that slots have by default."""
    clicks_after = np.pad(clicks_of(seed).cumsum(axis=1), ((0, 0), (1, 0)))
    rng = np.random.default_rng([seed, 1])
    shown = np.zeros(RATES.size, dtype=int)
    for _ in range(IMPRESSIONS // REFRESH):
        clicks = clicks_after[np.arange(RATES.size), shown]
        served = apply(
            selection_probabilities([shown], [clicks], 0, rng),
            exploration_share=0.005,
            min_shares=np.zeros(RATES.size),
            max_shares=np.ones(RATES.size),
        )
        shown += rng.multinomial(REFRESH, served)
    return float(shown @ LOST)


def mabwiser_regret(seed: int) -> float:
    """The same by MABWiser, whose Thompson sampling has the prior Beta(1, 1); before any evidence it is uniform."""
    clicks = clicks_of(seed)
    bandit = MAB(list(range(RATES.size)), LearningPolicy.ThompsonSampling(), seed=seed)
    learn, visitors = bandit.fit, np.zeros((REFRESH, 1))
    chosen = np.random.default_rng([seed, 2]).integers(RATES.size, size=REFRESH)
    shown = np.zeros(RATES.size, dtype=int)
    for _ in range(IMPRESSIONS // REFRESH):
        clicked = np.zeros(REFRESH, dtype=int)
        for banner, times in enumerate(np.bincount(chosen, minlength=RATES.size)):
            clicked[chosen == banner] = clicks[banner, shown[banner] : shown[banner] + times]
            shown[banner] += times
        learn(chosen, clicked)
        learn, chosen = bandit.partial_fit, np.array(bandit.predict(visitors))
    return float(shown @ LOST)


def test_regret_is_below_that_of_mabwiser() -> None:
    ours = np.mean([our_regret(seed) for seed in range(SEEDS)])
    theirs = np.mean([mabwiser_regret(seed) for seed in range(SEEDS)])
    # Both meet the same clicks, so the ratio of two means of 40 is known to 0.02; expected is 0.82: no exploration
    # beyond what is useful (gamma 1.5), and a prior of 1 click instead of 2. 0.95 is six standard deviations away.
    assert ours <= 0.95 * theirs
    # Showing all banners alike would lose 200 clicks.
    assert ours < IMPRESSIONS * LOST.mean() / 2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.posterior import Array
from bandit.shares import apply, hold_newcomers
from bandit.thompson import cumulative, draw, selection_probabilities

DEFAULT_EXPLORATION = 0.005


def test_exploration_is_spread_evenly_over_the_banners() -> None:
    served = apply([1, 0, 0, 0], exploration_share=0.2, min_shares=np.zeros(4), max_shares=np.ones(4))
    np.testing.assert_allclose(served, [0.85, 0.05, 0.05, 0.05])


def test_a_floor_is_taken_from_the_others_in_proportion() -> None:
    served = apply([0.6, 0.3, 0.1], exploration_share=0, min_shares=[0, 0, 0.4], max_shares=[1, 1, 1])
    np.testing.assert_allclose(served, [0.4, 0.2, 0.4])


def test_what_a_ceiling_cuts_off_goes_to_the_others_in_proportion() -> None:
    served = apply([0.7, 0.2, 0.1], exploration_share=0, min_shares=[0, 0, 0], max_shares=[0.4, 1, 1])
    np.testing.assert_allclose(served, [0.4, 0.4, 0.2])


def test_a_ceiling_met_only_because_of_another_ceiling_holds_too() -> None:
    served = apply([0.7, 0.2, 0.1], exploration_share=0, min_shares=[0, 0, 0], max_shares=[0.4, 0.3, 1])
    np.testing.assert_allclose(served, [0.4, 0.3, 0.3])


def test_what_ceilings_cut_off_reaches_banners_that_never_won_a_draw() -> None:
    served = apply([1, 0, 0], exploration_share=0, min_shares=[0, 0, 0], max_shares=[0.5, 1, 1])
    np.testing.assert_allclose(served, [0.5, 0.25, 0.25])


def test_ceilings_that_leave_a_gap_are_raised_by_one_factor() -> None:
    served = apply([0.5, 0.5], exploration_share=0, min_shares=[0, 0], max_shares=[0.1, 0.3])
    np.testing.assert_allclose(served, [0.25, 0.75])


def test_ceilings_of_zero_everywhere_give_equal_shares() -> None:
    served = apply([0.9, 0.1], exploration_share=0, min_shares=[0, 0], max_shares=[0, 0])
    np.testing.assert_allclose(served, [0.5, 0.5])


def test_floors_that_ask_for_more_than_everything_are_lowered_by_one_factor() -> None:
    served = apply([0.5, 0.5, 0], exploration_share=0.005, min_shares=[0.9, 0.6, 0], max_shares=[1, 1, 1])
    np.testing.assert_allclose(served, [0.6, 0.4, 0], atol=1e-8)
    assert served[2] > 0


def test_a_floor_above_its_ceiling_ends_there() -> None:
    served = apply([0.1, 0.9], exploration_share=0, min_shares=[0.5, 0], max_shares=[0.2, 1])
    np.testing.assert_allclose(served, [0.2, 0.8])


def test_a_new_banner_is_held_beside_known_ones() -> None:
    ceilings = hold_newcomers([1.0, 0.1, 1.0], [5_000, 10, 999], until_trials=1_000, share=0.2)
    np.testing.assert_allclose(ceilings, [1.0, 0.1, 0.2])


def test_where_all_banners_are_new_none_is_held() -> None:
    np.testing.assert_allclose(hold_newcomers([1.0, 0.6], [0, 999], until_trials=1_000, share=0.2), [1.0, 0.6])


def test_a_lone_banner_is_always_served() -> None:
    np.testing.assert_allclose(apply([1.0], exploration_share=0.005, min_shares=[0.1], max_shares=[0.3]), [1.0])


shares = st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 1.0]) | st.floats(1e-9, 1)
bounds = st.tuples(shares, shares).map(sorted)
banners = st.lists(st.tuples(st.just(0.0) | st.floats(1e-4, 1), bounds), min_size=1, max_size=80)
slots = banners.filter(lambda rows: any(chance for chance, _ in rows))
explorations = st.sampled_from([0.0, DEFAULT_EXPLORATION, 0.2, 1.0])


def unpacked(rows: list[tuple[float, list[float]]]) -> tuple[Array, Array, Array]:
    chances = np.array([chance for chance, _ in rows])
    return chances / chances.sum(), np.array([low for _, (low, _) in rows]), np.array([high for _, (_, high) in rows])


def feasible(rows: list[tuple[float, list[float]]]) -> tuple[Array, Array, Array]:
    chances, low, high = unpacked(rows)
    return chances, low / max(1.0, low.sum()), high if high.sum() >= 1 else np.ones(high.size)


@given(slots, explorations)
def test_shares_sum_to_one_and_leave_a_chance_to_all_but_those_with_a_ceiling_of_zero(
    rows: list[tuple[float, list[float]]], exploration: float
) -> None:
    chances, low, high = unpacked(rows)
    served = apply(chances, exploration_share=exploration, min_shares=low, max_shares=high)
    assert served.sum() == pytest.approx(1, abs=1e-9)
    assert np.all(served >= 0)
    assert np.all(served[high > 0] > 0)


@given(slots, explorations)
def test_floors_and_ceilings_hold_whenever_they_can(rows: list[tuple[float, list[float]]], exploration: float) -> None:
    chances, low, high = feasible(rows)
    served = apply(chances, exploration_share=exploration, min_shares=low, max_shares=high)
    assert np.all(served >= low - 1e-7)
    assert np.all(served <= high + 1e-9)


@given(slots, explorations)
def test_banners_between_their_floor_and_their_ceiling_keep_their_proportions(
    rows: list[tuple[float, list[float]]], exploration: float
) -> None:
    chances, low, high = feasible(rows)
    served = apply(chances, exploration_share=exploration, min_shares=low, max_shares=high)
    wanted = exploration / chances.size + (1 - exploration) * chances
    free = (served > low + 1e-6) & (served < high - 1e-6) & (wanted > 1e-6)
    factors = served[free] / wanted[free]
    np.testing.assert_allclose(factors, np.full(factors.size, factors[:1]), rtol=1e-6)


@given(slots, explorations)
def test_without_floors_and_ceilings_only_exploration_changes_the_probabilities(
    rows: list[tuple[float, list[float]]], exploration: float
) -> None:
    chances, _, _ = unpacked(rows)
    none, all_of_it = np.zeros(chances.size), np.ones(chances.size)
    served = apply(chances, exploration_share=exploration, min_shares=none, max_shares=all_of_it)
    np.testing.assert_allclose(served, exploration / chances.size + (1 - exploration) * chances, atol=1e-7)


@pytest.mark.parametrize("banner_count", [1, 2, 10, 80])
def test_at_the_default_exploration_every_banner_keeps_a_chance(banner_count: int) -> None:
    rng = np.random.default_rng(1)
    trials = rng.integers(0, 10_000_000, (1, banner_count))
    learned = selection_probabilities(trials, rng.binomial(trials, 0.03), 0, rng)
    none, all_of_it = np.zeros(banner_count), np.ones(banner_count)
    served = apply(learned, exploration_share=DEFAULT_EXPLORATION, min_shares=none, max_shares=all_of_it)
    assert served.min() >= DEFAULT_EXPLORATION / banner_count * (1 - 1e-9)
    assert served.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("floor", "expected"), [(0.0, DEFAULT_EXPLORATION / 2), (0.05, 0.05)])
def test_a_banner_without_a_click_in_5000_trials_gets_its_floor_and_no_more(floor: float, expected: float) -> None:
    learned = selection_probabilities([[5000, 5000]], [[0, 150]], 0, np.random.default_rng(2))
    served = apply(
        learned, exploration_share=DEFAULT_EXPLORATION, min_shares=np.array([floor, 0]), max_shares=np.ones(2)
    )
    assert served[0] == pytest.approx(expected, abs=1e-12)


def decisions(exploration_share: float, count: int, rng: np.random.Generator) -> tuple[Array, list[int]]:
    """What 10 unequal banners are served with, and `count` draws from it."""
    trials = np.full((1, 10), 2000)
    learned = selection_probabilities(trials, [[80, 76, 70, 66, 60, 50, 40, 30, 20, 10]], 0, rng)
    served = apply(learned, exploration_share=exploration_share, min_shares=np.zeros(10), max_shares=np.ones(10))
    ends = cumulative(served)
    return served, [draw(ends, u) for u in rng.random(count)]


def test_the_mean_of_one_over_the_propensity_is_the_number_of_banners() -> None:
    served, chosen = decisions(0.2, 50_000, np.random.default_rng(3))
    inverse = 1 / served[chosen]
    deviation = np.sqrt(((1 / served).sum() - 10**2) / 50_000)
    # Four standard deviations: fails by chance with 6 seeds of 100,000.
    assert abs(inverse.mean() - 10) < 4 * deviation < 0.5


def test_what_is_served_matches_the_propensities() -> None:
    from scipy.stats import chisquare

    served, chosen = decisions(DEFAULT_EXPLORATION, 50_000, np.random.default_rng(4))
    # The smallest expected count is 25. Fails by chance with one seed in 10,000.
    assert chisquare(np.bincount(chosen, minlength=10), 50_000 * served).pvalue > 1e-4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.posterior import SlotPosterior, fit
from bandit.thompson import cumulative, draw, probabilities, selection_probabilities
from tests.bandit.test_posterior import EXTREMES


def two_banners(second: float) -> SlotPosterior:
    """Two banners in one city; 10,000 trials of each are hardly moved by what is borrowed."""
    return fit([[10_000, 10_000]], [[1_000, second]])


def test_probabilities_are_the_chances_of_having_the_largest_rate() -> None:
    # The difference of two rates is normal: mean 0.005, variance 2 x 0.1 x 0.9 / 10,000 (in all: 1.18 sd, 0.88). What
    # is borrowed draws the two together a little, hence the tolerance of 0.02; chance adds 0.005 (5 sd of the draws).
    chances = probabilities(two_banners(950), 0, np.random.default_rng(1), draws=100_000, gamma=1.0)
    np.testing.assert_allclose(chances, [0.88, 0.12], atol=0.025)


def test_a_choice_trusts_the_evidence_more_than_a_report_does() -> None:
    chances = probabilities(two_banners(950), 0, np.random.default_rng(1), draws=100_000)
    # 1.18 sd become 1.18 x sqrt(1.5).
    np.testing.assert_allclose(chances, [0.926, 0.074], atol=0.025)


def test_a_click_worth_more_wins_more_often() -> None:
    posterior = two_banners(500)
    assert probabilities(posterior, 0, np.random.default_rng(2))[0] > 0.99
    assert probabilities(posterior, 0, np.random.default_rng(2), weights=[1.0, 3.0])[1] > 0.99


def test_equal_weights_change_nothing() -> None:
    posterior = fit([[500, 700]], [[10, 20]])
    plain = probabilities(posterior, 0, np.random.default_rng(3))
    np.testing.assert_array_equal(plain, probabilities(posterior, 0, np.random.default_rng(3), weights=[7.0, 7.0]))


def test_an_unseen_city_is_chosen_for_by_what_the_slot_knows() -> None:
    # Ten cities agree on the second banner.
    chances = probabilities(fit([[500, 700]] * 10, [[10, 90]] * 10), None, np.random.default_rng(4))
    assert chances[1] > 0.99


def test_two_banners_without_evidence_are_alike() -> None:
    chances = probabilities(fit([[0, 0]], [[0, 0]]), 0, np.random.default_rng(4), draws=100_000)
    # Five standard deviations: fails by chance once in a million seeds.
    np.testing.assert_allclose(chances, 0.5, atol=5 * 0.5 / 100_000**0.5)


def test_each_city_chooses_by_its_own_evidence() -> None:
    posterior = fit([[5000, 5000], [5000, 5000]], [[250, 50], [50, 250]])
    rng = np.random.default_rng(5)
    assert probabilities(posterior, 0, rng)[0] > 0.99
    assert probabilities(posterior, 1, rng)[1] > 0.99


def test_only_the_banners_asked_for_compete() -> None:
    posterior = fit([[5000, 5000, 5000]], [[250, 50, 150]])
    assert probabilities(posterior.only([1, 2]), 0, np.random.default_rng(6))[1] > 0.99


def test_fitting_and_choosing_in_one_call_is_their_composition() -> None:
    trials, clicks = [[500, 700], [30, 20]], [[10, 20], [1, 0]]
    together = selection_probabilities(trials, clicks, 1, np.random.default_rng(7), weights=[1.0, 2.0], draws=2000)
    apart = probabilities(fit(trials, clicks), 1, np.random.default_rng(7), weights=[1.0, 2.0], draws=2000)
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize(("trials", "clicks"), EXTREMES)
def test_extreme_evidence_gives_probabilities_that_sum_to_one(trials: np.ndarray, clicks: np.ndarray) -> None:
    for city in (None, *range(min(len(trials), 2))):
        chances = selection_probabilities(trials, clicks, city, np.random.default_rng(8))
        assert chances.shape == (trials.shape[1],)
        assert np.all(chances >= 0)
        assert chances.sum() == pytest.approx(1, abs=1e-12)


def test_draws_follow_the_probabilities() -> None:
    from scipy.stats import chisquare

    chances = np.array([0.5, 0.0, 0.3, 0.15, 0.0495, 0.0005])
    ends = cumulative(chances)
    chosen = np.bincount([draw(ends, u) for u in np.random.default_rng(9).random(50_000)], minlength=6)
    assert chosen[1] == 0
    seen = chances > 0
    # Fails by chance with one seed in 10,000.
    assert chisquare(chosen[seen], 50_000 * chances[seen]).pvalue > 1e-4


def test_a_draw_lands_on_the_banner_whose_part_of_the_line_it_falls_on() -> None:
    ends = cumulative([0.25, 0.5, 0.25])
    assert [draw(ends, u) for u in (0.0, 0.2499, 0.25, 0.7499, 0.75, 0.999)] == [0, 0, 1, 1, 2, 2]


chance_lists = st.lists(st.just(0.0) | st.floats(1e-9, 1.0), min_size=1, max_size=80).filter(any)


@given(chance_lists, st.just(0.0) | st.just(1 - 2**-53) | st.floats(0, 1, exclude_max=True))
def test_a_banner_without_a_chance_is_never_drawn(raw: list[float], u: float) -> None:
    chances = np.array(raw) / sum(raw)
    assert chances[draw(cumulative(chances), u)] > 0

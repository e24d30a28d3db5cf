import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.posterior import SlotPosterior, fit
from bandit.thompson import cumulative, draw, probabilities, selection_probabilities


def test_probabilities_are_the_chances_of_having_the_largest_rate() -> None:
    # Of Beta(a, 1), Beta(b, 1), Beta(c, 1) each is the largest with probability a / (a + b + c), and so on.
    posterior = SlotPosterior(np.array([[1.0, 2.0, 5.0]]), np.ones((1, 3)), 0.5)
    chances = probabilities(posterior, 0, np.random.default_rng(1), draws=100_000)
    # Five standard deviations of 100,000 draws; three banners: fails by chance in fewer than 2 of a million seeds.
    np.testing.assert_allclose(chances, [1 / 8, 2 / 8, 5 / 8], atol=5 * 0.5 / 100_000**0.5)


def test_a_click_worth_more_wins_more_often() -> None:
    # 2 U > V for uniform U, V in 3 of 4 cases. Five standard deviations: fails by chance once in a million seeds.
    posterior = SlotPosterior(np.ones((1, 2)), np.ones((1, 2)), 0.5)
    chances = probabilities(posterior, 0, np.random.default_rng(2), weights=[2.0, 1.0], draws=100_000)
    np.testing.assert_allclose(chances, [0.75, 0.25], atol=5 * 0.433 / 100_000**0.5)


def test_equal_weights_change_nothing() -> None:
    posterior = fit([[500, 700]], [[10, 20]])
    plain = probabilities(posterior, 0, np.random.default_rng(3))
    np.testing.assert_array_equal(plain, probabilities(posterior, 0, np.random.default_rng(3), weights=[7.0, 7.0]))


def test_an_unseen_city_treats_all_banners_alike() -> None:
    chances = probabilities(fit([[500, 700]], [[10, 90]]), None, np.random.default_rng(4), draws=100_000)
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


@pytest.mark.parametrize(
    ("trials", "clicks"),
    [
        pytest.param(np.zeros((1, 1)), np.zeros((1, 1)), id="one city, one banner, nothing shown"),
        pytest.param(np.zeros((0, 4)), np.zeros((0, 4)), id="no city"),
        pytest.param(np.full((5, 80), 2000.0), np.zeros((5, 80)), id="80 banners, no click anywhere"),
        pytest.param(np.array([[1e7, 1.0]]), np.array([[3e5, 0.0]]), id="ten million trials in one cell"),
        pytest.param(np.array([[1e7, 1e7]]), np.array([[1e7, 1e7]]), id="every trial clicked"),
        pytest.param(np.full((2, 3), 1e-9), np.full((2, 3), 1e-10), id="evidence faded to almost nothing"),
    ],
)
def test_extreme_evidence_gives_probabilities_that_sum_to_one(trials: np.ndarray, clicks: np.ndarray) -> None:
    for city in (None, *range(len(trials))):
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

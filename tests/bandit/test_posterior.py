import subprocess
import sys

import numpy as np
import pytest

from bandit.posterior import SlotPosterior, fit


def test_the_prior_has_the_slots_overall_rate_and_the_weight_of_one_click() -> None:
    posterior = fit([[1000, 400], [500, 50]], [[30, 10], [9, 0]])
    assert posterior.m0 == pytest.approx(50 / 2000)
    alpha, beta = posterior.parameters(None)
    np.testing.assert_allclose(alpha, 1)
    np.testing.assert_allclose(beta, 39)
    np.testing.assert_allclose(posterior.mean(None), 0.025)


def test_each_city_adds_its_own_trials_and_clicks_to_the_prior() -> None:
    posterior = fit([[1000, 400], [500, 50]], [[30, 10], [9, 0]])
    alpha, beta = posterior.parameters(1)
    np.testing.assert_allclose(alpha, [10, 1])
    np.testing.assert_allclose(beta, [39 + 491, 39 + 50])
    np.testing.assert_allclose(posterior.mean(1), [10 / 540, 1 / 90])


def test_a_slot_without_any_evidence_expects_one_click_in_fifty() -> None:
    np.testing.assert_allclose(fit(np.zeros((3, 2)), np.zeros((3, 2))).mean(0), 0.02)


def test_a_rate_of_one_half_is_read_as_one_half() -> None:
    assert fit([[10_000]], [[5_000]]).mean(0)[0] == pytest.approx(0.5, abs=1e-4)


def test_clicks_beyond_the_trials_of_their_cell_are_ignored() -> None:
    np.testing.assert_allclose(fit([[10.0, 0.0]], [[12.0, 3.0]]).alpha, [[11, 1]])
    np.testing.assert_allclose(fit([[10.0, 0.0]], [[12.0, 3.0]]).alpha, fit([[10.0, 0.0]], [[10.0, 0.0]]).alpha)


@pytest.mark.parametrize(("trials", "clicks"), [([1.0], [0.0]), ([[1.0, 2.0]], [[0.0]])])
def test_evidence_that_is_not_two_matrices_of_one_shape_is_refused(trials: list[float], clicks: list[float]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        fit(trials, clicks)


def test_some_banners_keep_the_beliefs_they_had_among_all() -> None:
    whole = fit([[1000, 400, 70], [500, 50, 80]], [[30, 10, 1], [9, 0, 2]])
    part = whole.only([2, 0])
    for city in (0, 1, None):
        np.testing.assert_array_equal(part.mean(city), whole.mean(city)[[2, 0]])
    assert part.m0 == whole.m0


def test_the_interval_holds_the_rate_with_the_stated_probability() -> None:
    # Beta(1, b) and Beta(a, 1) have quantiles in closed form: 1 - (1 - q)^(1/b) and q^(1/a).
    alpha, beta = np.array([[1.0, 1.0, 40.0]]), np.array([[49.0, 5000.0, 1.0]])
    low, high = SlotPosterior(alpha, beta, 0.02).interval(0)
    np.testing.assert_allclose(low, [1 - 0.95 ** (1 / 49), 1 - 0.95 ** (1 / 5000), 0.05 ** (1 / 40)], rtol=1e-9)
    np.testing.assert_allclose(high, [1 - 0.05 ** (1 / 49), 1 - 0.05 ** (1 / 5000), 0.95 ** (1 / 40)], rtol=1e-9)


def test_a_higher_level_gives_a_wider_interval_around_the_mean() -> None:
    posterior = fit([[200, 4000]], [[6, 130]])
    low, high = posterior.interval(0)
    lower, higher = posterior.interval(0, 0.99)
    assert np.all((lower < low) & (low < posterior.mean(0)) & (posterior.mean(0) < high) & (high < higher))


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
def test_extreme_evidence_gives_finite_ordered_beliefs_without_a_warning(
    trials: np.ndarray, clicks: np.ndarray
) -> None:
    posterior = fit(trials, clicks)
    for city in (None, *range(len(trials))):
        low, high = posterior.interval(city)
        assert np.all((low >= 0) & (low <= high) & (high <= 1))
        assert np.all((posterior.mean(city) > 0) & (posterior.mean(city) <= 1))


def test_choosing_and_reporting_load_neither_pandas_nor_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, bandit.reports, bandit.shares, bandit.thompson;"
        "print(sorted({'pandas', 'sklearn', 'scipy'} & {name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"

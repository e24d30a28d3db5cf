import subprocess
import sys

import numpy as np
import pytest

from bandit.posterior import SIGMAS, SlotPosterior, fit, posterior_draws

EXTREMES = [
    pytest.param(np.zeros((1, 1)), np.zeros((1, 1)), id="one city, one banner, nothing shown"),
    pytest.param(np.zeros((0, 4)), np.zeros((0, 4)), id="no city"),
    pytest.param(np.array([[500.0, 300.0]]), np.array([[9.0, 8.0]]), id="one city"),
    pytest.param(np.full((5, 80), 2000.0), np.zeros((5, 80)), id="80 banners, no click anywhere"),
    pytest.param(np.full((50, 80), 1e6), np.zeros((50, 80)), id="four billion trials without a click"),
    pytest.param(np.array([[1e7, 1.0]]), np.array([[3e5, 0.0]]), id="ten million trials in one cell"),
    pytest.param(np.array([[1e7, 1.0], [1.0, 0.0]]), np.array([[3.0, 1.0], [1.0, 0.0]]), id="almost no clicks"),
    pytest.param(np.array([[1e7, 1e7]]), np.array([[1e7, 1e7]]), id="every trial clicked"),
    pytest.param(np.array([[1e7, 1e7]]), np.array([[1e7, 0.0]]), id="all or nothing"),
    pytest.param(np.full((2, 3), 1e-9), np.full((2, 3), 1e-10), id="evidence faded to almost nothing"),
]


def likely_sigma(posterior: SlotPosterior) -> float:
    """The expected spread of the log odds between cities, as the geometric mean."""
    return float(np.exp(posterior.chances @ np.log(SIGMAS)))


def world(sigma: float, *, cities: int = 50, trials: float = 4_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Trials and clicks of ten banners whose log odds differ by `sigma` between cities."""
    rng = np.random.default_rng(seed)
    log_odds = np.log(0.03) + 0.4 * rng.standard_normal(10) + sigma * rng.standard_normal((cities, 10))
    tried = np.full(log_odds.shape, trials)
    return tried, rng.binomial(tried.astype(int), 1 / (1 + np.exp(-log_odds))).astype(float)


def test_a_slot_without_any_evidence_expects_one_click_in_fifty() -> None:
    for city in (0, None):
        np.testing.assert_allclose(fit(np.zeros((3, 2)), np.zeros((3, 2))).mean(city), 0.02)


def test_a_rate_of_one_half_is_read_as_one_half() -> None:
    assert fit([[10_000]], [[5_000]]).mean(0)[0] == pytest.approx(0.5, abs=1e-3)


def test_the_data_decide_how_alike_cities_are() -> None:
    # Each within a third of the truth, which 20 other seeds were too; the grid's step is a third.
    assert likely_sigma(fit(*world(0.6))) == pytest.approx(0.6, rel=0.33)
    assert likely_sigma(fit(*world(0.2))) == pytest.approx(0.2, rel=0.33)
    assert likely_sigma(fit(*world(0.0))) < 0.05


def test_where_cities_are_alike_one_is_known_from_the_others() -> None:
    trials, clicks = world(0.0)
    trials[0], clicks[0] = 20, 0
    posterior = fit(trials, clicks)
    np.testing.assert_allclose(posterior.mean(0), clicks.sum(0) / trials.sum(0), rtol=0.1)
    assert posterior.borrowed_trials(0).min() > 5_000


def test_where_cities_differ_one_with_much_evidence_speaks_for_itself() -> None:
    trials, clicks = world(1.0)
    trials[0], clicks[0] = 1e6, np.linspace(1e4, 1e5, 10)
    np.testing.assert_allclose(fit(trials, clicks).mean(0), clicks[0] / trials[0], rtol=0.01)


def test_an_unseen_city_starts_from_what_the_slot_knows() -> None:
    trials, clicks = world(0.3)
    posterior = fit(trials, clicks)
    pooled = clicks.sum(axis=0) / trials.sum(axis=0)
    np.testing.assert_allclose(posterior.mean(None), pooled, rtol=0.1)


def test_a_new_banner_starts_from_what_the_slots_banners_are_like() -> None:
    trials, clicks = world(0.3)
    trials[:, 9] = clicks[:, 9] = 0
    posterior = fit(trials, clicks)
    low, high = posterior.interval(0)
    assert posterior.mean(0)[9] == pytest.approx(clicks.sum() / trials.sum(), rel=0.01)
    assert low[9] < low[:9].min()
    assert high[9] > high[:9].max()


def test_an_interval_holds_the_rate_as_often_as_it_says() -> None:
    # Coverage over 3,000 cells of one world: cities and banners have much in common, and 20 other seeds
    # gave 0.88 to 0.93 of 600.
    rng = np.random.default_rng(6)
    m0, sigma, cities, banners = 0.03, 0.4, 50, 60
    kappa = 1 / (sigma**2 * m0 * (1 - m0))
    mu = rng.beta(4, 4 * (1 - m0) / m0, size=banners)
    rates = rng.beta(kappa * mu, kappa * (1 - mu), size=(cities, banners))
    trials = rng.integers(20, 2_000, size=rates.shape)
    posterior = fit(trials, rng.binomial(trials, rates))
    covered = 0
    for city in range(cities):
        low, high = posterior.interval(city)
        covered += int(((low <= rates[city]) & (rates[city] <= high)).sum())
    assert covered / rates.size == pytest.approx(0.9, abs=0.03)


def test_what_is_borrowed_makes_up_the_weight_of_the_interval() -> None:
    posterior = fit(*world(0.3))
    rates = posterior_draws(posterior, 3, np.random.default_rng(2), 40_000)
    mean, variance = rates.mean(axis=0), rates.var(axis=0)
    np.testing.assert_allclose(posterior.mean(3), mean, rtol=0.01)
    weight = mean * (1 - mean) / variance - 1
    np.testing.assert_allclose(4_000 + posterior.borrowed_trials(3), weight, rtol=0.05)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.0])
def test_a_spread_is_how_draws_are_spread(sigma: float) -> None:
    trials, clicks = world(sigma, trials=800)
    trials[1], clicks[1] = 0, 0
    posterior = fit(trials, clicks)
    edges = np.linspace(0, 0.3, 601)
    for city in (0, 1, None):
        draws = posterior_draws(posterior, city, np.random.default_rng(9), 40_000)
        drawn = np.array([np.histogram(column, edges)[0].cumsum() for column in draws.T]).T / len(draws)
        spread = posterior.spread(city, (edges[1:] + edges[:-1]) / 2)
        np.testing.assert_allclose(spread.sum(axis=0), 1.0)
        # The largest distance of two distribution functions. That of 40,000 draws passes 0.015 once in 3e7 times (the
        # Dvoretzky-Kiefer-Wolfowitz inequality); 90 are looked at, and none was above 0.01.
        assert np.abs(spread.cumsum(axis=0) - drawn).max() < 0.015
        np.testing.assert_allclose(posterior.deviation(city), draws.std(axis=0), rtol=0.1)


def test_draws_for_several_cities_are_those_of_each() -> None:
    posterior = fit(*world(0.6))
    cities = np.repeat([4, 7], 20_000)
    rates = posterior_draws(posterior, cities, np.random.default_rng(3), cities.size)
    for city in (4, 7):
        np.testing.assert_allclose(rates[cities == city].mean(axis=0), posterior.mean(city), rtol=0.02)


def test_a_larger_gamma_draws_closer_to_the_mean() -> None:
    posterior = fit(*world(0.3, trials=300))
    plain, trusting = (
        posterior_draws(posterior, 0, np.random.default_rng(4), 20_000, gamma=gamma).std(axis=0) for gamma in (1, 1.5)
    )
    assert np.all(trusting < 0.95 * plain)


def test_clicks_beyond_the_trials_of_their_cell_are_ignored() -> None:
    cut, whole = fit([[10.0, 0.0]], [[12.0, 3.0]]), fit([[10.0, 0.0]], [[10.0, 0.0]])
    np.testing.assert_array_equal(cut.mean(0), whole.mean(0))


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


def test_a_higher_level_gives_a_wider_interval_around_the_mean() -> None:
    posterior = fit([[200, 4000]], [[6, 130]])
    low, high = posterior.interval(0)
    lower, higher = posterior.interval(0, 0.99)
    assert np.all((lower < low) & (low < posterior.mean(0)) & (posterior.mean(0) < high) & (high < higher))


def test_the_same_evidence_always_has_the_same_interval() -> None:
    np.testing.assert_array_equal(fit([[200]], [[6]]).interval(0), fit([[200]], [[6]]).interval(0))


@pytest.mark.parametrize(("trials", "clicks"), EXTREMES)
def test_extreme_evidence_gives_finite_ordered_beliefs_without_a_warning(
    trials: np.ndarray, clicks: np.ndarray
) -> None:
    posterior = fit(trials, clicks)
    assert posterior.chances.sum() == pytest.approx(1)
    for city in (None, *range(min(len(trials), 2))):
        low, high = posterior.interval(city)
        assert np.all((low >= 0) & (low <= high) & (high <= 1))
        assert np.all((posterior.mean(city) >= 0) & (posterior.mean(city) <= 1))
        assert np.all(np.isfinite(posterior.borrowed_trials(city)))
        assert np.all(np.isfinite(posterior.deviation(city)))
        np.testing.assert_allclose(posterior.spread(city, np.linspace(0.001, 0.999, 99)).sum(axis=0), 1)


def test_choosing_and_reporting_load_neither_pandas_nor_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, bandit.reports, bandit.shares, bandit.thompson as t, numpy as np;"
        "t.fit([[9]], [[1]]).interval(0); t.selection_probabilities([[9, 9]], [[1, 2]], 0, np.random.default_rng(1));"
        "print(sorted({'pandas', 'sklearn', 'scipy'} & {name.split('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"

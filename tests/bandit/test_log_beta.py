import numpy as np
import pytest
from scipy.special import betaln, gammaln

from bandit.log_beta import log_beta_growth, log_gamma_growth

VALUES = [1e-3, 0.1, 1.0, 3.7, 20.0, 1e3, 1e6]
MORE = [0.0, 1e-9, 0.5, 1.0, 7.0, 1e3, 1e6]


@pytest.mark.parametrize("x", VALUES)
def test_it_is_the_difference_of_two_log_gammas(x: float) -> None:
    more = np.array(MORE)
    np.testing.assert_allclose(
        log_gamma_growth(np.array(x), more), gammaln(x + more) - gammaln(x), rtol=1e-9, atol=1e-8
    )


def test_it_is_the_difference_of_two_log_betas() -> None:
    a, b, clicks, rest = np.meshgrid(VALUES[:5], VALUES[:6], MORE[:6], MORE[:6])
    expected = betaln(a + clicks, b + rest) - betaln(a, b)
    np.testing.assert_allclose(log_beta_growth(a, b, clicks, rest), expected, rtol=1e-9, atol=1e-8)


def test_a_prior_of_a_trillion_trials_leaves_only_the_rate() -> None:
    # Beta(1e12 p, 1e12 (1 - p)) is certain of p, so its likelihood is p^s (1 - p)^f.
    p, clicks, rest = 1e-6, np.array([0.0, 1.0, 12.0]), np.array([5.0, 1e4, 1e7])
    expected = clicks * np.log(p) + rest * np.log1p(-p)
    growth = log_beta_growth(np.array(1e12 * p), np.array(1e12 * (1 - p)), clicks, rest)
    np.testing.assert_allclose(growth, expected, atol=1e-3)

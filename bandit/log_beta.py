"""How much the logarithm of the beta function changes with the evidence: what marginal likelihoods are made of.

The plain difference of two log-gammas is lost in rounding where the prior weighs 1e12 trials, and `scipy.special` costs
a web worker 21 MB and each value ten times as long; so the difference itself is computed, from Stirling's series.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHIFT = 4
"""Arguments are raised by so much before Stirling's series is used; its error is then below 4e-9."""


def log_beta_growth(a: Array, b: Array, clicks: Array, rest: Array) -> Array:
    """ln B(a + clicks, b + rest) - ln B(a, b), elementwise: the log-likelihood of one order of clicks and non-clicks
    under a click rate of Beta(a, b). All above 0, clicks and rest also 0; the shapes are broadcast.
    """
    return log_gamma_growth(a, clicks) + log_gamma_growth(b, rest) - log_gamma_growth(a + b, clicks + rest)


def log_gamma_growth(x: Array, by: Array) -> Array:
    """ln Gamma(x + by) - ln Gamma(x), elementwise, for x > 0 and by >= 0."""
    low = x + SHIFT
    high = low + by
    stirling = by * (np.log(low) - 1) + (high - 0.5) * np.log1p(by / low) + _correction(high) - _correction(low)
    growth: Array = stirling - np.log(_four_factors(x + by) / _four_factors(x))
    return growth


def _four_factors(x: Array) -> Any:
    """x (x + 1) (x + 2) (x + 3) = Gamma(x + SHIFT) / Gamma(x)."""
    ends = x * (x + 3)
    return ends * (ends + 2)


def _correction(x: Array) -> Any:
    """What Stirling's series adds to (x - 1/2) ln x - x + ln(2 pi) / 2."""
    inverse = 1 / x
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))

"""What the evidence says about the click rates of one slot: its cities share strength.

A hierarchical Beta-Binomial model. For n trials and s clicks of banner b in city c:

    s ~ Binomial(n, theta_cb)    theta_cb ~ Beta(kappa mu_b, kappa (1 - mu_b))    mu_b ~ Beta(1, (1 - m0) / m0)

mu_b is the banner's rate in the slot; kappa, in trials, is how much that says about one city, and is large where cities
are alike: kappa = 1 / (sigma^2 m0 (1 - m0)), sigma being the standard deviation of the log odds between cities. Of 20
values of sigma each is as probable as its marginal likelihood says: the data decide how alike cities are.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandit.log_beta import log_beta_growth

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

SIGMAS = np.geomspace(0.005, 2.0, 20)
"""Flat in log sigma; from cities that are all alike to cities that have nothing in common."""

BLOCK_CELLS = 1_000
"""Cells whose likelihood is computed at once: as many as fit, for all sigmas, into the processor's cache."""

INTERVAL_DRAWS = 4_000
INTERVAL_SEED = 20_250_102
"""The same evidence always has the same interval."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotPosterior:
    """The click rates of every banner in every city, as far as they are known.

    A city is its row, or None for one without any evidence.
    """

    trials: Array
    """(cities, banners), as clicks."""
    clicks: Array
    kappa: Array
    """How much a banner's rate in the slot says about one city, in trials, for each sigma; (sigmas,)."""
    chances: Array
    """Of each sigma; (sigmas,)."""
    a: Array
    """mu is Beta(a, b) for each sigma and banner; (sigmas, banners), as b."""
    b: Array
    m0: float
    """The slot's overall click rate, kept away from 0 and 1; the mean of the prior of mu."""

    def only(self, banner_indexes: ArrayLike) -> "SlotPosterior":
        """The same posterior of these banners alone, in this order."""
        columns = np.asarray(banner_indexes, dtype=np.intp)
        trials, clicks, a, b = (matrix[:, columns] for matrix in (self.trials, self.clicks, self.a, self.b))
        return replace(self, trials=trials, clicks=clicks, a=a, b=b)

    def evidence(self, city: int | Rows | None) -> tuple[Array, Array]:
        """Trials and clicks of a city's banners, (banners,) each; for several cities (cities, banners)."""
        if city is None:
            nothing = np.zeros(self.trials.shape[1])
            return nothing, nothing
        return self.trials[city], self.clicks[city]

    def mean(self, city: int | None) -> Array:
        """The expected click rate of each banner, (banners,); of no city the rate in the slot."""
        return self._moments(city)[0]

    def deviation(self, city: int | None) -> Array:
        """The standard deviation of each banner's rate, (banners,)."""
        deviation: Array = np.sqrt(self._moments(city)[1])
        return deviation

    def spread(self, city: int | None, rates: ArrayLike) -> Array:
        """How likely each banner's rate is near each of these, evenly spaced between 0 and 1; (rates, banners).

        For each banner it sums to 1: what lies beyond the rates is left out.
        For each sigma it is the Beta with the mean and the variance of the rate, so a drawn curve is smooth.
        """
        means, variances = self._moments_by_sigma(city)
        weights = means * (1 - means) / variances - 1
        near = np.asarray(rates, dtype=np.float64)[:, np.newaxis, np.newaxis]
        logs = (means * weights - 1) * np.log(near) + ((1 - means) * weights - 1) * np.log1p(-near)
        likely = np.exp(logs - logs.max(axis=0))
        spread: Array = np.einsum("s,rsb->rb", self.chances, likely / likely.sum(axis=0))
        return spread

    def borrowed_trials(self, city: int | None) -> Array:
        """How many more trials the banner would need in the city to be known as well without the other cities and
        banners; (banners,). The mean and the variance of the rate are those of a Beta, whose weight this is.
        """
        mean, variance = self._moments(city)
        weight = mean * (1 - mean) / variance - 1
        return np.maximum(weight - self.evidence(city)[0], 0.0)

    def interval(self, city: int | None, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper ends, (banners,) each, of the central interval that holds each rate with this probability."""
        rates = posterior_draws(self, city, np.random.default_rng(INTERVAL_SEED), INTERVAL_DRAWS)
        tail = (1 - level) / 2
        low, high = np.quantile(rates, [tail, 1 - tail], axis=0)
        return low, high

    def _moments(self, city: int | None) -> tuple[Array, Array]:
        """Mean and variance of each banner's rate, (banners,) each, by the laws of total mean and variance."""
        means, variances = self._moments_by_sigma(city)
        mean: Array = self.chances @ means
        variance: Array = self.chances @ (variances + (means - mean) ** 2)
        return mean, variance

    def _moments_by_sigma(self, city: int | None) -> tuple[Array, Array]:
        """The same for each sigma, (sigmas, banners) each."""
        trials, clicks = self.evidence(city)
        kappa, total = self.kappa[:, np.newaxis], self.a + self.b
        mu = self.a / total
        mu_variance = mu * (self.b / total) / (total + 1)
        means = (kappa * mu + clicks) / (kappa + trials)
        slopes = kappa / (kappa + trials)
        spreads = slopes**2 * mu_variance
        within = (means * (1 - means) - spreads) / (kappa + trials + 1)
        return means, within + spreads


def fit(trials: ArrayLike, clicks: ArrayLike) -> SlotPosterior:
    """The posterior from evidence of shape (cities, banners): faded counts plus seeds, not necessarily whole numbers.

    Clicks beyond the trials of their cell are ignored: a click may be counted before its impression. Raises ValueError
    when the two are not matrices of one shape.
    """
    tried = np.asarray(trials, dtype=np.float64)
    clicked = np.asarray(clicks, dtype=np.float64)
    if tried.ndim != 2 or tried.shape != clicked.shape:
        raise ValueError(f"trials {tried.shape} and clicks {clicked.shape} must have one shape (cities, banners)")
    clicked = np.minimum(clicked, tried)
    m0 = float((clicked.sum() + 1) / (tried.sum() + 50))
    kappa = 1 / (SIGMAS**2 * m0 * (1 - m0))
    seen = tried.any(axis=1)  # a city without evidence says nothing
    a, b, log_evidence = _slot_rates(tried[seen], clicked[seen], kappa, m0)
    likelihood = np.exp(log_evidence - log_evidence.max())
    return SlotPosterior(tried, clicked, kappa, likelihood / likelihood.sum(), a, b, m0)


def posterior_draws(
    slot_posterior: SlotPosterior, city: int | Rows | None, rng: np.random.Generator, draws: int, *, gamma: float = 1.0
) -> Array:
    """Click rates drawn from the posterior, (draws, banners); the rates of one draw belong together.

    `city` may also be one row of the evidence for each draw, (draws,). A `gamma` above 1 draws as if all evidence had
    this many times its weight: closer to the mean, for choices that explore less; intervals and chances that people are
    shown have gamma 1.
    """
    sigma = rng.choice(slot_posterior.chances.size, size=draws, p=slot_posterior.chances)
    mu = draw_beta(gamma * slot_posterior.a[sigma], gamma * slot_posterior.b[sigma], rng)
    kappa = slot_posterior.kappa[sigma, np.newaxis]
    trials, clicks = slot_posterior.evidence(city)
    return draw_beta(gamma * (kappa * mu + clicks), gamma * (kappa * (1 - mu) + (trials - clicks)), rng)


def draw_beta(a: Array, b: Array, rng: np.random.Generator) -> Array:
    """Beta(a, b), elementwise, from two gammas: faster than `rng.beta`, and a or b may be 0 where the other is not."""
    left = rng.standard_gamma(a)
    drawn: Array = left / (left + rng.standard_gamma(b))
    return drawn


def _slot_rates(trials: Array, clicks: Array, kappa: Array, m0: float) -> tuple[Array, Array, Array]:
    """a and b of mu, (sigmas, banners) each, and the log marginal likelihood of each sigma, (sigmas,).

    In the posterior of mu a cell's n trials count as n / design effect, the variance that cities add to a Binomial's.
    The likelihood is Chib's identity (JASA 90, 1995), likelihood x prior / posterior, at the posterior's mean of mu.
    """
    rest = trials - clicks
    a0, b0 = 1.0, (1 - m0) / m0
    more_a, more_b = _discounted(trials, clicks, rest, kappa)
    a, b = a0 + more_a, b0 + more_b
    mu, one_minus_mu = a / (a + b), b / (a + b)
    log_likelihood = _log_likelihood(clicks, rest, kappa[:, np.newaxis] * mu, kappa[:, np.newaxis] * one_minus_mu)
    gained = log_beta_growth(np.array(a0), np.array(b0), more_a, more_b)
    prior_over_posterior = gained - more_a * np.log(mu) - more_b * np.log(one_minus_mu)
    return a, b, log_likelihood + prior_over_posterior.sum(axis=1)


def _discounted(trials: Array, clicks: Array, rest: Array, kappa: Array) -> tuple[Array, Array]:
    """Clicks and trials without one, over all cities and each cell divided by its design effect; (sigmas, banners)."""
    shape = (kappa.size, trials.shape[1])
    more_a, more_b = np.empty(shape), np.empty(shape)
    for index, one in enumerate(kappa):
        weight = (one + 1) / (one + trials)
        more_a[index], more_b[index] = (weight * clicks).sum(axis=0), (weight * rest).sum(axis=0)
    return more_a, more_b


def _log_likelihood(clicks: Array, rest: Array, alpha: Array, beta: Array) -> Array:
    """Of all cells under Beta(alpha, beta) of each sigma and banner, (sigmas, banners); (sigmas,)."""
    total = np.zeros(len(alpha))
    step = max(BLOCK_CELLS // max(clicks.shape[1], 1), 1)
    for first in range(0, len(clicks), step):
        block = slice(first, first + step)
        growth = log_beta_growth(alpha[:, np.newaxis], beta[:, np.newaxis], clicks[block], rest[block])
        total += growth.sum(axis=(1, 2))
    return total

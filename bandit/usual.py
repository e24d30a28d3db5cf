"""Whether a click rate is still what it used to be."""

from math import sqrt

THRESHOLD = 4.0
"""Standard errors: a rate that has not changed exceeds it by chance in fewer than 1 of 15,000 looks."""
FEWEST = 200
"""Impressions, on either side, below which nothing is said."""


def deviation(clicks: int, served: int, usual_clicks: int, usual_served: int) -> float | None:
    """By how many standard errors a click rate is above (negative: below) the usual one; None of too few impressions.

    The two-proportion z-test with the pooled rate (Fleiss, Levin, Paik: Statistical Methods for Rates and Proportions,
    3rd edition, section 3.2).
    """
    if served < FEWEST or usual_served < FEWEST:
        return None
    pooled = (clicks + usual_clicks) / (served + usual_served)
    if not 0 < pooled < 1:
        return 0.0
    error = sqrt(pooled * (1 - pooled) * (1 / served + 1 / usual_served))
    return (clicks / served - usual_clicks / usual_served) / error


def alarm(clicks: int, served: int, usual_clicks: int, usual_served: int) -> str | None:
    """What to say of a rate that left its usual range; None while it has not."""
    found = deviation(clicks, served, usual_clicks, usual_served)
    if found is None or abs(found) <= THRESHOLD:
        return None
    rates = f"{clicks / served:.2%} of {served:,} impressions clicked, usually {usual_clicks / usual_served:.2%}"
    return f"{rates} ({found:+.1f} standard errors)"

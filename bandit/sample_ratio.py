"""Were banners drawn as often as the log says? The sample-ratio check.

Where a banner competes and is drawn with probability p, 1 / p of the draws that fell on it adds up, but for chance, to
the number of decisions it competed in. It does not where a probability was logged that was not used, where impressions
of some banners are lost, or where what counts depends on the banner; then nothing computed from the log holds.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import log, sqrt
from typing import NamedTuple

from bandit.model import SampledRow

FALSE_ALARM = 1e-4
"""Largest probability that a banner, looked at once, is out of ratio by chance."""


class Ratio(NamedTuple):
    """One banner."""

    banner: str
    decisions: int
    """It competed in."""
    drawn: int
    inverse: float
    """The sum of 1 / propensity over those on which it was drawn."""
    ratio: float
    """Of the two; 1 is right."""
    tolerance: float
    """How far from 1 chance alone may take it."""
    alarm: bool


class _Sums(NamedTuple):
    drawn: int = 0
    inverse: float = 0.0
    squares: float = 0.0


def check(rows: Iterable[SampledRow], exploration_share: float) -> list[Ratio]:
    """One ratio for each banner that competed, most decisions first.

    `exploration_share` is the slot's: what is spread evenly is the least that a banner may have, also one that was
    never drawn.
    """
    competed: defaultdict[str, int] = defaultdict(int)
    sums: defaultdict[str, _Sums] = defaultdict(_Sums)
    heaviest = 1.0
    for row in rows:
        eligible = row.eligible.split()
        least = exploration_share / len(eligible)
        heaviest = max(heaviest, row.largest, 1 / least if least else 0.0)
        for banner in eligible:
            competed[banner] += row.decisions
        # The holdout may draw one that the learned choice cannot, by a ceiling of 0: it has no ratio there.
        if row.banner in eligible:
            drawn, inverse, squares = sums[row.banner]
            sums[row.banner] = _Sums(drawn + row.decisions, inverse + row.inverse, squares + row.squares)
    if not exploration_share:
        heaviest = float("inf")
    ratios = [_ratio(banner, decisions, sums[banner], heaviest) for banner, decisions in competed.items()]
    return sorted(ratios, key=lambda one: (-one.decisions, one.banner))


def _ratio(banner: str, decisions: int, sums: _Sums, heaviest: float) -> Ratio:
    """The tolerance is the empirical Bernstein bound (Maurer and Pontil, COLT 2009) on the mean of terms of variance
    1 / p - 1, of which those drawn give an unbiased estimate, and of size `heaviest` at most."""
    doubt = log(4 / FALSE_ALARM)
    variance = max(sums.squares - sums.inverse, 0.0)
    tolerance = (sqrt(2 * variance * doubt) + 7 / 3 * heaviest * doubt) / decisions
    ratio = sums.inverse / decisions
    return Ratio(banner, decisions, sums.drawn, sums.inverse, ratio, tolerance, abs(ratio - 1) > tolerance)

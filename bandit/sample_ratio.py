"""Were banners drawn as often as the log says? The sample-ratio check.

Where a banner competes and is drawn with probability p, 1 / p of the draws that fell on it adds up, but for chance, to
the number of decisions it competed in. It does not where a probability was logged that was not used, where impressions
of some banners are lost, or where what counts depends on the banner; then nothing computed from the log holds.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import fsum, log, sqrt
from typing import NamedTuple

from bandit.model import Banner, SampledRow, Slot

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


def check(rows: Iterable[SampledRow], slot: Slot, banners: Iterable[Banner]) -> list[Ratio]:
    """One ratio for each banner that competed, most decisions first.

    `banners` are the slot's, which tell how rarely one may be drawn. A slot that gave its banners less in the days of
    `rows` than it does now may raise an alarm about one that was never drawn.
    """
    competed: defaultdict[str, int] = defaultdict(int)
    sums: defaultdict[str, _Sums] = defaultdict(_Sums)
    heaviest, known = 1.0, list(banners)
    for row in rows:
        eligible = row.eligible.split()
        least = least_share(slot, known, len(eligible))
        heaviest = max(heaviest, row.largest, 1 / least if least else float("inf"))
        for banner in eligible:
            competed[banner] += row.decisions
        # The holdout may draw one that the learned choice cannot, by a ceiling of 0: it has no ratio there.
        if row.banner in eligible:
            drawn, inverse, squares = sums[row.banner]
            sums[row.banner] = _Sums(drawn + row.decisions, inverse + row.inverse, squares + row.squares)
    ratios = [_ratio(banner, decisions, sums[banner], heaviest) for banner, decisions in competed.items()]
    return sorted(ratios, key=lambda one: (-one.decisions, one.banner))


def least_share(slot: Slot, banners: Iterable[Banner], competing: int) -> float:
    """What none of so many competing banners has less of.

    Those with a ceiling of 0 do not compete, yet have their part of what is spread evenly before it is taken from them.
    Of that, the floors of others leave a banner at least the part that they do not take themselves.
    """
    enabled = [banner for banner in banners if banner.enabled]
    ceilings = [slot.new_banner_max_share, *(banner.max_share for banner in enabled)]
    spread = slot.exploration_share / (competing + ceilings[1:].count(0.0))
    left = max(1 - fsum(banner.min_share for banner in enabled), 0.0)
    return min(spread * left, *filter(None, ceilings))


def _ratio(banner: str, decisions: int, sums: _Sums, heaviest: float) -> Ratio:
    """The tolerance is the empirical Bernstein bound (Maurer and Pontil, COLT 2009) on the mean of terms of variance
    1 / p - 1, of which those drawn give an unbiased estimate, and of size `heaviest` at most."""
    doubt = log(4 / FALSE_ALARM)
    variance = max(sums.squares - sums.inverse, 0.0)
    tolerance = (sqrt(2 * variance * doubt) + 7 / 3 * heaviest * doubt) / decisions
    ratio = sums.inverse / decisions
    return Ratio(banner, decisions, sums.drawn, sums.inverse, ratio, tolerance, abs(ratio - 1) > tolerance)

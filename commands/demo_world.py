"""How the visitors of the demo behave: the true click rate of every banner in every city, which the service must find.

The rates are spread like those of the banners in a real log (the Open Bandit sample in examples/open_bandit). With
that log's own half a per cent it would take hours of traffic before anybody sees anything, so they are scaled up to a
mean of MEAN_CTR, and the best is put clear of the second.
"""

import csv
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from commands.demo_catalogue import OFFERS, TENANT

LOG_DIRECTORY = Path(__file__).parent.parent / "examples" / "open_bandit"
LOG_FILES = ("bts_men.csv", "bts_women.csv", "random_men.csv", "random_women.csv")

BANNERS = 10
MEAN_CTR = 0.03
LEAD = 1.5
"""The best banner's click rate is at least so many times the second's."""

WORLD_SEED = 1706
"""Which banner is how good where: the same in every run, so that a second one goes on where the first one ended, and
such that in each slot every city prefers another banner."""

Cell = tuple[str, str]
"""(slot, city)."""
Rates = Mapping[str, float]
"""Click rate by banner."""


@dataclass(frozen=True, slots=True)
class LogRates:
    """What the real log says."""

    items: int
    mean: float
    spread: tuple[float, ...]
    """BANNERS quantiles of the items' smoothed click rates, rising."""


def read_log(directory: Path = LOG_DIRECTORY) -> LogRates:
    """The click rates of the log in this directory; OSError when a file is missing."""
    impressions: Counter[tuple[str, str]] = Counter()
    clicks: Counter[tuple[str, str]] = Counter()
    for item, clicked in _impressions(directory):
        impressions[item] += 1
        clicks[item] += clicked
    mean = clicks.total() / impressions.total()
    smoothed = sorted(_smoothed(clicks[item], shown, mean) for item, shown in impressions.items())
    spread = tuple(_quantile(smoothed, (place + 0.5) / BANNERS) for place in range(BANNERS))
    return LogRates(len(impressions), mean, spread)


def true_rates(log: LogRates) -> tuple[float, ...]:
    """The click rates of the demo, rising: spread like the log's, with mean MEAN_CTR and a clear best."""
    *others, best = log.spread
    rates = (*others, max(best, LEAD * others[-1]))
    return tuple(MEAN_CTR * rate * len(rates) / sum(rates) for rate in rates)


def world(rates: Sequence[float]) -> dict[Cell, Rates]:
    """Who has which of these rates, for every cell: the same rates everywhere, in an order of its own."""
    rng = random.Random(WORLD_SEED)
    return {
        (slot, city): dict(zip((offer.id for offer in offers), rng.sample(rates, len(rates)), strict=True))
        for slot, offers in OFFERS.items()
        for city in TENANT.cities
    }


def best(rates: Rates) -> str:
    """The banner with the highest click rate."""
    return max(rates, key=rates.__getitem__)


def _impressions(directory: Path) -> Iterator[tuple[tuple[str, str], int]]:
    """Item and click of every row; the numbers of the items start again in each campaign."""
    for name in LOG_FILES:
        campaign = name.partition("_")[2]
        with (directory / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield (campaign, row["item_id"]), int(row["click"])


def _smoothed(clicks: int, impressions: int, mean: float) -> float:
    """With the log's mean as a prior that weighs as much as one click: Beta(1, (1 - mean) / mean)."""
    return (clicks + 1) / (impressions + 1 / mean)


def _quantile(rising: Sequence[float], share: float) -> float:
    """Interpolated between neighbours."""
    place = share * (len(rising) - 1)
    low = int(place)
    part = place - low
    return rising[low] * (1 - part) + rising[min(low + 1, len(rising) - 1)] * part

"""Which cities click alike? Groups the cities of a slot by what they click, as a report and a picture.

    python -m commands.cluster_cities --tenant T --slot S [--picture clusters.svg]

A city's profile is what it clicks more and less than other cities do, whatever it clicks in all. Where the groups are
no better apart than chance would make them, that is said instead. Nothing is changed: the learner needs no groups, it
finds out by itself how alike cities are.

Exit codes: 0 done, 1 the store or the picture cannot be used, 2 wrong input, 3 there is not enough data.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bandit.city_clusters import Clusters, cluster
from bandit.fading import fade
from bandit.model import CountRow, Slot, Trial
from bandit.posterior import Array
from bandit.reports import clamped, trials_of
from bandit.zone import day_of
from commands import cluster_picture
from commands.slot_command import Found, parser, run

TOO_LITTLE = 3
LEAST_TRIALS = 100
"""A city with less evidence has no profile yet."""
SHOWN_BANNERS = 3


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    made = parser("commands.cluster_cities", __doc__)
    made.add_argument("--picture", type=Path, metavar="FILE", help="write the picture there, as SVG")
    return run(made, arguments, environ, _act)


def _act(found: Found, options: argparse.Namespace) -> int:
    today = day_of(time.time_ns() // 1000, found.tenant.time_zone)
    rows = found.store.counts(found.tenant.id, found.slot.id, today - found.slot.lookback_days, today)
    banners = list(found.store.configuration().banners.get((found.tenant.id, found.slot.id), {}))
    cities, trials, clicks = _evidence(rows, found.slot, today, list(found.tenant.cities), banners)
    try:
        clusters = cluster(trials, clicks)
    except ValueError as error:
        least = f"A city needs {LEAST_TRIALS} trials."
        print(f"slot {found.slot.id} has not enough data yet: {error}. {least}", file=sys.stderr)
        return TOO_LITTLE
    print("\n".join(_report(clusters, cities, banners, trials)))
    if options.picture is not None:
        title = f"{found.slot.id}: {_count(clusters)}"
        options.picture.write_text(cluster_picture.draw(clusters, cities, banners, title), "utf-8")
        print(f"The picture is in {options.picture}.")
    return 0


def _evidence(
    rows: Iterable[CountRow], slot: Slot, today: int, cities: list[str], banners: list[str]
) -> tuple[list[str], Array, Array]:
    """Faded trials and clicks, (cities, banners), of the tenant's cities that have enough."""
    place = {city: index for index, city in enumerate(cities)}
    column = {banner: index for index, banner in enumerate(banners)}
    trials, clicks = np.zeros((2, len(cities), len(banners)))
    for row in rows:
        if row.city in place and row.banner in column:
            counted, cell = clamped(row), (place[row.city], column[row.banner])
            weight = fade(today - row.day, slot.half_life_days, slot.lookback_days)
            trials[cell] += weight * trials_of(counted, Trial(slot.trial))
            clicks[cell] += weight * counted.clicks
    kept = np.flatnonzero(trials.sum(axis=1) >= LEAST_TRIALS)
    return [cities[index] for index in kept], trials[kept], clicks[kept]


def _report(found: Clusters, cities: Sequence[str], banners: Sequence[str], trials: Array) -> list[str]:
    best = max(found.silhouettes)
    drawn = [
        f"{number:4}  {value:6.3f}  {'#' * round(40 * max(value, 0))}{'  <- best' if value == best else ''}"
        for number, value in enumerate(found.silhouettes, 2)
    ]
    lines = [f"{_count(found)}; chance alone rarely exceeds a silhouette of {found.by_chance:.3f}", "", *drawn]
    for number in range(found.groups if found.groups > 1 else 0):
        members = [city for city, label in enumerate(found.labels) if label == number]
        names = ", ".join(cities[city] for city in members)
        lines += [
            "",
            f"Group {number + 1}: {names} ({trials[members].sum():,.0f} trials)",
            *_traits(found, members, banners),
        ]
    return lines


def _count(found: Clusters) -> str:
    if found.groups == 1:
        return f"{len(found.labels)} cities, no groups that are more than chance"
    return f"{len(found.labels)} cities in {found.groups} groups"


def _traits(found: Clusters, members: list[int], banners: Sequence[str]) -> list[str]:
    """What the group clicks most above and below the others."""
    profile, rates = found.profiles[members].mean(axis=0), found.rates[members].mean(axis=0)
    order = np.argsort(-profile)

    def told(columns: Iterable[int]) -> str:
        return ", ".join(
            f"{banners[column]} ({rates[column]:.2%}, {np.exp(profile[column]):.2f}x)" for column in columns
        )

    most = [int(column) for column in order[:SHOWN_BANNERS] if profile[column] > 0]
    least = [int(column) for column in order[::-1][:SHOWN_BANNERS] if profile[column] < 0]
    return [f"  more than elsewhere: {told(most)}", f"  less than elsewhere: {told(least)}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

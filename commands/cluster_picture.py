"""The picture of city clusters: a map of cities by banners, drawn as SVG."""

from collections.abc import Sequence
from html import escape

import numpy as np

from bandit.city_clusters import Clusters

CELL, LABEL, HEAD, GAP = 26, 150, 110, 14
FULL_COLOUR = 1.0
"""The difference of logits, a factor of e in the odds, from which on a colour is at its deepest."""


def draw(found: Clusters, cities: Sequence[str], banners: Sequence[str], title: str) -> str:
    """An SVG document: one row a city, those of a cluster together; blue clicks less than others do, red more."""
    order = np.lexsort((np.arange(len(cities)), found.labels))
    rows = [
        _row(HEAD + place * CELL + int(found.labels[city]) * GAP, cities[city], found.profiles[city], found.rates[city])
        for place, city in enumerate(order)
    ]
    heads = [
        f'<text transform="translate({LABEL + column * CELL + 17},{HEAD - 8}) rotate(-60)">{escape(banner)}</text>'
        for column, banner in enumerate(banners)
    ]
    width = LABEL + len(banners) * CELL + 70
    height = HEAD + len(cities) * CELL + found.groups * GAP + 20
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            'font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="8" y="20" font-size="14">{escape(title)}</text>',
            '<text x="8" y="38">red: clicked more here than elsewhere; blue: less</text>',
            *heads,
            *rows,
            "</svg>\n",
        ]
    )


def _row(y: int, city: str, profile: Sequence[float], rates: Sequence[float]) -> str:
    cells = [
        f'<rect x="{LABEL + column * CELL}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" fill="{_colour(value)}">'
        f"<title>{escape(city)}: {rate:.2%}, {value:+.2f}</title></rect>"
        for column, (value, rate) in enumerate(zip(profile, rates, strict=True))
    ]
    return f'<text x="{LABEL - 8}" y="{y + 16}" text-anchor="end">{escape(city)}</text>' + "".join(cells)


def _colour(value: float) -> str:
    depth = min(abs(value) / FULL_COLOUR, 1.0)
    pale = round(245 - 190 * depth)
    return f"rgb(245,{pale},{pale})" if value > 0 else f"rgb({pale},{pale},245)"

"""Charts of the dashboard: SVG made here from numbers, so that a page needs no library and nothing inline.

Colours and strokes are classes of style.css. Every chart has a title that says in words what it shows; the figures are
in a table beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from markupsafe import Markup, escape

HUES = 10
WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _BOTTOM = 52, 30, 22
SPARK_WIDTH, SPARK_HEIGHT = 96, 26
DOT = 2.5
BAR_WIDTH, BAR_HEIGHT = 140, 18
CELL_WIDTHS, CELL_HEIGHT = (62, 102), 24
LETTER_WIDTH = 7.5
"""About, in the font of the charts."""
TICKS = 6
"""At most, on an axis."""


class Series(NamedTuple):
    """One line, or one band of a stack."""

    name: str
    values: Sequence[float]


def hue(index: int) -> str:
    """The class of the index-th colour."""
    return f"c{index % HUES}"


def same_hues(names: Sequence[str], drawn: Sequence[str]) -> dict[str, int]:
    """A colour for each name, at most HUES: the one it has in a chart of `drawn`, by position, else one of its own."""
    kept = {name: index for index, name in enumerate(drawn) if name in names}
    # Taken from the end: what fewer than HUES series leave over.
    free = [index for index in range(HUES) if index not in kept.values()]
    return {name: kept[name] if name in kept else free.pop() for name in names}


def sparkline(values: Sequence[float | None], title: str) -> Markup:
    """A line of days, the latest at the right; gaps where there is no value, and a dot for a day alone."""
    known = [value for value in values if value is not None]
    highest = max(known, default=0.0) or 1.0
    step = (SPARK_WIDTH - 2 * DOT) / max(len(values) - 1, 1)
    lines, dots = [], []
    for at, (before, value, after) in enumerate(zip([None, *values], values, [*values[1:], None], strict=False)):
        if value is not None:
            x = SPARK_WIDTH - DOT - (len(values) - 1 - at) * step
            y = _down(value / highest, SPARK_HEIGHT - DOT)
            lines.append(f"{'M' if before is None else 'L'}{x:.1f} {y:.1f}")
            if before is None and after is None:
                dots.append(f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="{DOT}"/>')
    return _svg(SPARK_WIDTH, SPARK_HEIGHT, title, [f'<path class="spark" d="{" ".join(lines)}"/>', *dots])


def interval_bar(low: float, middle: float, high: float, lowest: float, highest: float, title: str) -> Markup:
    """An interval and its middle on a scale from lowest to highest, and where 0 is. Nothing may be below the lowest;
    what goes on above the highest ends in an arrow."""

    def across(value: float) -> float:
        share = (value - lowest) / ((highest - lowest) or 1.0)
        return min(max(share, 0.0), 1.0) * (BAR_WIDTH - 8) + 4

    y = BAR_HEIGHT / 2
    parts = [
        f'<path class="zero" d="M{across(0):.1f} 0V{BAR_HEIGHT}"/>',
        f'<path class="span" d="M{across(low):.1f} {y}H{across(high):.1f}"/>',
    ]
    if middle <= highest:
        parts.append(f'<circle class="point" cx="{across(middle):.1f}" cy="{y}" r="4"/>')
    if high > highest:
        parts.append(f'<path class="point" d="M{BAR_WIDTH - 9} {y - 5}L{BAR_WIDTH} {y}L{BAR_WIDTH - 9} {y + 5}z"/>')
    return _svg(BAR_WIDTH, BAR_HEIGHT, title, parts)


def share_bar(value: float, title: str) -> Markup:
    """How much of the whole something is."""
    filled = f'<rect class="heat" width="{value * SPARK_WIDTH:.1f}" height="12"/>'
    return _svg(SPARK_WIDTH, 12, title, [filled, f'<rect class="frame" width="{SPARK_WIDTH}" height="12"/>'])


def captioned(words: str, drawing: Markup) -> Markup:
    """What is drawn, below its figures."""
    return Markup("{}<br>{}").format(words, drawing)


def heat_map(
    rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[tuple[float | None, str]]], title: str
) -> Markup:
    """The darker the larger; `cells` are (value, its text) by row and column."""
    highest = max((value for row in cells for value, _ in row if value is not None), default=0.0) or 1.0
    left = 8 + LETTER_WIDTH * max((len(name) for name in rows), default=0)
    narrowest, widest = CELL_WIDTHS
    wide = min(max(LETTER_WIDTH * max((len(name) for name in columns), default=0), narrowest), widest)
    letters = int(wide / LETTER_WIDTH)
    names = [f'<text x="0" y="{_line(at)}">{escape(name)}</text>' for at, name in enumerate(rows)]
    heads = [
        f'<text x="{left + at * wide + 4:.0f}" y="16">{_short(name, letters)}<title>{escape(name)}</title></text>'
        for at, name in enumerate(columns)
    ]
    squares = [
        _square(left + x * wide, CELL_HEIGHT * (y + 1), wide, value, highest, text, f"{rows[y]}, {columns[x]}")
        for y, row in enumerate(cells)
        for x, (value, text) in enumerate(row)
    ]
    return _svg(left + wide * len(columns), CELL_HEIGHT * (len(rows) + 1), title, [*heads, *names, *squares])


def round_ticks(low: float, high: float) -> list[float]:
    """At most TICKS round numbers at even distances, from low to high."""
    size = 10.0 ** floor(log10(max(high - low, 1e-9) / TICKS))
    for step in (size, 2 * size, 5 * size, 10 * size):
        first, last = ceil(low / step), floor(high / step)
        if last - first < TICKS:
            break
    return [number * step for number in range(first, last + 1)]


def curves(xs: Sequence[float], series: Sequence[Series], ticks: Sequence[tuple[float, str]], title: str) -> Markup:
    """Lines over a common scale; `ticks` are (x, text)."""
    highest = max((max(one.values) for one in series if one.values), default=0.0) or 1.0
    first, last = xs[0], xs[-1]

    def across(x: float) -> float:
        return _LEFT + (x - first) / ((last - first) or 1.0) * (WIDTH - _LEFT - _RIGHT)

    lines = []
    for at, one in enumerate(series):
        points = zip(xs, one.values, strict=True)
        path = " ".join(f"{across(x):.1f},{_down(y / highest, HEIGHT - _BOTTOM):.1f}" for x, y in points)
        lines.append(f'<polyline class="curve {hue(at)}" points="{path}"><title>{escape(one.name)}</title></polyline>')
    marks = [
        f'<text x="{across(x):.1f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(text)}</text>' for x, text in ticks
    ]
    return _svg(WIDTH, HEIGHT, title, [_axis(), *lines, *marks])


def stack(days: Sequence[str], series: Sequence[Series], hues: Mapping[str, int], title: str) -> Markup:
    """Shares of a whole over days, one band above the other; a day without any is left empty. `hues` are by name."""
    wide = (WIDTH - _LEFT - _RIGHT) / max(len(days), 1)
    below = [0.0] * len(days)
    bands = []
    for one in series:
        colour = hue(hues[one.name])
        for day, value in enumerate(one.values):
            if value:
                top = _down(below[day] + value, HEIGHT - _BOTTOM)
                high = value * (HEIGHT - _BOTTOM - 4)
                place = f'x="{_LEFT + day * wide:.1f}" y="{top:.1f}" width="{max(wide - 1, 1):.1f}" height="{high:.1f}"'
                bands.append(
                    f'<rect class="area {colour}" {place}><title>{escape(one.name)}, {days[day]}</title></rect>'
                )
                below[day] += value
    ends = [(_LEFT, "start", days[0]), (WIDTH - _RIGHT, "end", days[-1])] if days else []
    marks = [f'<text x="{x}" y="{HEIGHT - 4}" text-anchor="{anchor}">{escape(text)}</text>' for x, anchor, text in ends]
    scale = [f'<text x="0" y="{_down(part, HEIGHT - _BOTTOM) + 8:.0f}">{part:.0%}</text>' for part in (0.5, 1.0)]
    return _svg(WIDTH, HEIGHT, title, [_axis(), *bands, *marks, *scale])


def key(names: Iterable[str], hues: Mapping[str, int] | None = None) -> Markup:
    """Which colour is which series; `hues` where they do not go by position."""
    patch = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10"/></svg>'
    items = [
        Markup(f'<li class="{hue(hues[name] if hues else at)}">{patch}') + name + Markup("</li>")
        for at, name in enumerate(names)
    ]
    return Markup('<ul class="key">') + Markup("").join(items) + Markup("</ul>")


def _svg(width: float, height: float, title: str, parts: Iterable[str]) -> Markup:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return Markup(f'<svg role="img" {size}><title>{escape(title)}</title>{"".join(parts)}</svg>')


def _axis() -> str:
    return f'<path class="axis" d="M{_LEFT} {HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}"/>'


def _down(share: float, height: float) -> float:
    """SVG counts downwards; 4 pixels stay free at the top."""
    return height - share * (height - 4)


def _line(row: int) -> int:
    return CELL_HEIGHT * (row + 1) + 16


def _short(name: str, letters: int) -> Markup:
    return escape(name if len(name) <= letters else f"{name[: letters - 1]}…")


def _square(x: float, y: float, wide: float, value: float | None, highest: float, text: str, title: str) -> str:
    shade = 0.0 if value is None else 0.06 + 0.6 * value / highest
    box = f'<rect class="heat" x="{x:.0f}" y="{y}" width="{wide - 2:.0f}" height="{CELL_HEIGHT - 2}"'
    words = f'<text class="halo" x="{x + wide / 2:.0f}" y="{y + 15}" text-anchor="middle">{escape(text)}</text>'
    return f'<g>{box} fill-opacity="{shade:.2f}"/>{words}<title>{escape(title)}: {escape(text)}</title></g>'

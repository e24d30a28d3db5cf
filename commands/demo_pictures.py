"""Banner pictures for the demo, drawn as SVG: a gradient, a pattern of its own colour, an offer and a button."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import cos, pi, sin, sqrt

from commands.demo_catalogue import Offer

FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"
BUTTON_TEXT = "Shop now"
PEN = 'fill="none" stroke="#fff" stroke-opacity=".3" stroke-linecap="round"'
"""Of the patterns."""
LETTER_WIDTH = 0.7
"""Of an average bold letter, as a share of the font size; that of wide fonts, so that nothing is cut."""


def draw(offer: Offer, width: int, height: int) -> str:
    """The picture of an offer as an SVG document of this size in pixels."""
    first, second = offer.colours
    sky = _gradient("sky", (1, 1), (first, 1, 0), (second, 1, 1))
    shade = _gradient("shade", (1, 0) if width > height else (0, 1), (first, 0.85, 0), (first, 0, 0.75))
    size = f'width="{width}" height="{height}"'
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" role="img">
<title>{escape(offer.headline)}: {escape(offer.detail)}</title>
<defs>{sky}{shade}</defs>
<rect {size} fill="url(#sky)"/>
<g {PEN}>{"".join(MOTIFS[offer.motif](width, height))}</g>
<rect {size} fill="url(#shade)"/>
{_words(offer, width, height)}
</svg>
"""


def _gradient(name: str, towards: tuple[int, int], *stops: tuple[str, float, float]) -> str:
    """From the upper left towards a corner; stops are colour, opacity and where."""
    marks = "".join(
        f'<stop stop-color="{colour}" stop-opacity="{opacity}" offset="{where}"/>' for colour, opacity, where in stops
    )
    x, y = towards
    return f'<linearGradient id="{name}" x1="0" y1="0" x2="{x}" y2="{y}">{marks}</linearGradient>'


def _words(offer: Offer, width: int, height: int) -> str:
    """Headline, detail and button: one line each at the left, or, in an upright picture, several from the top down."""
    side, upright = min(width, height), height > width
    margin = side * 0.12
    room = (width if upright else width * 0.6) - 2 * margin
    headline, detail = _wrapped(offer.headline, 3 if upright else 1), _wrapped(offer.detail, 2 if upright else 1)
    size, small = _font_size(headline, room, side * 0.22), _font_size(detail, room, side * 0.11)
    top = margin + size if upright else height * 0.42
    under = top + (len(headline) - 1) * size * 1.12 + small * 1.8
    button = height - margin - small * 2 if upright else under + small * 0.9
    texts = [_text(line, margin, top + row * size * 1.12, size, 800) for row, line in enumerate(headline)]
    texts += [_text(line, margin, under + row * small * 1.3, small, 500) for row, line in enumerate(detail)]
    return "\n".join([*texts, _button(offer, margin, button, small)])


def _font_size(lines: Sequence[str], room: float, most: float) -> float:
    """The largest in which every line fits into the room, in pixels."""
    return min(most, room / (max(map(len, lines)) * LETTER_WIDTH))


def _text(words: str, x: float, y: float, size: float, weight: int) -> str:
    style = f'font-family="{FONT}" font-size="{size:.1f}" font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#fff" {style}>{escape(words)}</text>'


def _button(offer: Offer, x: float, y: float, size: float) -> str:
    width, height = size * (len(BUTTON_TEXT) * LETTER_WIDTH + 1.8), size * 2
    style = f'font-family="{FONT}" font-size="{size:.1f}" font-weight="700" text-anchor="middle"'
    middle = f'x="{x + width / 2:.1f}" y="{y + height * 0.67:.1f}"'
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{height / 2:.1f}" fill="#fff"/>'
        f'<text {middle} fill="{offer.colours[0]}" {style}>{BUTTON_TEXT}</text>'
    )


def _wrapped(words: str, most_lines: int) -> list[str]:
    """At most so many lines, the longest of them as short as whole words allow."""
    line_length = max(map(len, words.split()))
    while len(lines := _filled(words, line_length)) > most_lines:
        line_length += 1
    return lines


def _filled(words: str, line_length: int) -> list[str]:
    lines = [""]
    for word in words.split():
        joined = f"{lines[-1]} {word}".strip()
        lines[-1:] = [joined] if len(joined) <= line_length else [lines[-1], word]
    return [line for line in lines if line]


# -- patterns --------------------------------------------------------------------------------------------------------


def _rain(width: int, height: int) -> Iterator[str]:
    places = [(column, row) for column in range(width // 26 + 2) for row in range(height // 60 + 2)]
    drops = [f"M{column * 26 + row * 11 % 26} {row * 60 + column * 37 % 60 - 30}l-7 26" for column, row in places]
    yield f'<path d="{"".join(drops)}" stroke-width="3"/>'


def _rays(width: int, height: int) -> Iterator[str]:
    x, y, length = width * 0.8, height * 0.8, width + height
    for ray in range(36):
        angle = ray * pi / 18
        far = f"{x + length * cos(angle):.0f} {y + length * sin(angle):.0f}"
        yield f'<path d="M{x:.0f} {y:.0f}L{far}" stroke-width="{2 + ray % 3 * 4}"/>'


def _rings(width: int, height: int) -> Iterator[str]:
    centre = f'cx="{width * 0.82:.0f}" cy="{height * 0.6:.0f}"'
    for ring in range(1, 14):
        yield f'<circle {centre} r="{ring * 38}" stroke-width="{2 + ring % 4 * 5}"/>'


def _stripes(width: int, height: int) -> Iterator[str]:
    for stripe in range(0, width + height, 54):
        yield f'<path d="M{stripe} -10L{stripe - height} {height + 10}" stroke-width="{6 + stripe % 5 * 5}"/>'


def _dots(width: int, height: int) -> Iterator[str]:
    for row in range(height // 40 + 1):
        for column in range(width // 40 + 1):
            x, y = column * 40 + row % 2 * 20, row * 40
            radius = 2 + 11 * sqrt((x / width) ** 2 + (y / height) ** 2) / sqrt(2)
            yield f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="#fff" fill-opacity=".25" stroke="none"/>'


def _waves(width: int, height: int) -> Iterator[str]:
    for wave in range(height // 34 + 2):
        start = f"M{-wave % 3 * 40 - 120} {wave * 34}q60 {44 if wave % 2 else 30} 120 0"
        yield f'<path d="{start}{"t120 0" * (width // 120 + 2)}" stroke-width="{3 + wave % 3 * 3}"/>'


def _weave(width: int, height: int) -> Iterator[str]:
    threads = []
    for row in range(height // 48 + 1):
        for column in range(width // 48 + 1):
            x, y = column * 48, row * 48
            across = (row + column) % 2
            threads += [f"M{x + 6} {y + gap}h36" if across else f"M{x + gap} {y + 6}v36" for gap in (12, 24, 36)]
    yield f'<path d="{"".join(threads)}" stroke-width="4"/>'


MOTIFS: dict[str, Callable[[int, int], Iterator[str]]] = {
    "rain": _rain,
    "rays": _rays,
    "rings": _rings,
    "stripes": _stripes,
    "dots": _dots,
    "waves": _waves,
    "weave": _weave,
}

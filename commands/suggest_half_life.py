"""Which half-life suits a slot? The one that would have foretold its clicks best, day by day.

    python -m commands.suggest_half_life --tenant T --slot S

For each half-life every day's clicks are foretold from the days before it; the log-likelihood says how well. What is
shown is the gain over the half-life the slot has, and whether it is more than chance. Nothing is changed.

Exit codes: 0 done, 1 the store cannot be used, 2 wrong input, 3 there is not enough data.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence

from bandit.half_life import CONFIDENCE, Suggestion, TooLittle, days_of, suggest
from bandit.zone import day_of
from commands.slot_command import Found, parser, run

TOO_LITTLE = 3
MOST_DAYS = 400
WIDTH = 40


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    return run(parser("commands.suggest_half_life", __doc__), arguments, environ, _act)


def _act(found: Found, _: argparse.Namespace) -> int:
    slot = found.slot
    today = day_of(time.time_ns() // 1000, found.tenant.time_zone)
    # Today is not over: its late clicks would look like a change.
    rows = found.store.counts(found.tenant.id, slot.id, today - MOST_DAYS, today - 1)
    try:
        suggestion = suggest(days_of(rows, slot.trial), slot.half_life_days, slot.lookback_days, _progress)
    except TooLittle as error:
        print(f"slot {slot.id} has not enough data yet: {error}", file=sys.stderr)
        return TOO_LITTLE
    print("\n".join(_report(slot.id, suggestion)))
    return 0


def _progress(share: float) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{share:4.0%}" if share < 1 else "\r    \r")
        sys.stderr.flush()


def _report(slot: str, found: Suggestion) -> list[str]:
    lowest, highest = min(found.gains), max(found.gains)
    curve = [
        f"{_name(half_life):>10}  {gain:+10.1f}  {_bar(gain, lowest, highest)}{_mark(half_life, found)}"
        for half_life, gain in sorted(zip(found.half_lives, found.gains, strict=True), key=_in_order)
    ]
    heading = f"{'half-life':>10}  {'gain':>10}  in log-likelihood of {found.days - 1} days ({found.clicks:,} clicks)"
    return [f"slot {slot}", "", heading, *curve, "", _verdict(found)]


def _in_order(point: tuple[float | None, float]) -> float:
    return float("inf") if point[0] is None else point[0]


def _bar(gain: float, lowest: float, highest: float) -> str:
    return "#" * round(1 + (WIDTH - 1) * (gain - lowest) / ((highest - lowest) or 1))


def _mark(half_life: float | None, found: Suggestion) -> str:
    marks = [word for word, marked in (("best", found.best), ("now", found.present)) if half_life == marked]
    return f"  <- {', '.join(marks)}" if marks else ""


def _name(half_life: float | None) -> str:
    return "none" if half_life is None else f"{half_life:g} d"


def _verdict(found: Suggestion) -> str:
    if found.best == found.present:
        return f"Keep {_name(found.present)}: no other foretells better."
    gain = f"{_name(found.best)} gains between {found.low:+.1f} and {found.high:+.1f} ({CONFIDENCE:.0%} interval)"
    if found.is_clear:
        return f"Set half_life_days to {_name(found.best).removesuffix(' d')}: {gain} over {_name(found.present)}."
    return f"Keep {_name(found.present)}: {gain}, which may be chance."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

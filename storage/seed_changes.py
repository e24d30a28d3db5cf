"""What seeding will change, said in text."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bandit.model import OTHER, UNKNOWN, Seed
from storage.history import History, listing

if TYPE_CHECKING:
    import pandas as pd

SHOWN_PAIRS = 60
CSV_COLUMNS = ("city", "banner", "old_trials", "old_clicks", "new_trials", "new_clicks")


class Change(NamedTuple):
    """The seed of one pair before and after; None where there is none."""

    city: str
    banner: str
    old: Seed | None
    new: Seed | None


def changes(existing: Iterable[Seed], wanted: Iterable[Seed]) -> list[Change]:
    """The pairs whose seeds differ, sorted; both of one seed id."""
    old = {(seed.city, seed.banner): seed for seed in existing}
    new = {(seed.city, seed.banner): seed for seed in wanted}
    pairs = sorted(old.keys() | new.keys())
    return [Change(*pair, old.get(pair), new.get(pair)) for pair in pairs if old.get(pair) != new.get(pair)]


def table(changed: Sequence[Change]) -> str:
    """One line a change, cut where they are many."""
    rows: list[tuple[str, ...]] = [("city", "banner", "trials", "", "", "CTR", "", "")]
    rows += [_row(change) for change in changed[:SHOWN_PAIRS]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows] if changed else []
    more = len(changed) - SHOWN_PAIRS
    return "\n".join([*lines, f"... and {more:,} more pairs"] if more > 0 else lines)


def without_table(said: str) -> str:
    """What the command said, but for its table: the second of three paragraphs, where anything changes."""
    paragraphs = said.split("\n\n")
    return said if len(paragraphs) != 3 else "\n".join((paragraphs[0], paragraphs[2]))


def write_csv(path: Path, changed: Iterable[Change]) -> None:
    """One line a change; 0 where there is no seed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        for city, banner, old, new in changed:
            writer.writerow([city, banner, *_evidence(old), *_evidence(new)])


def _evidence(seed: Seed | None) -> tuple[float, float]:
    return (seed.trials, seed.clicks) if seed else (0.0, 0.0)


def _row(change: Change) -> tuple[str, ...]:
    old, new = change.old, change.new
    return (change.city, change.banner, _trials(old), "->", _trials(new), _rate(old), "->", _rate(new))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    names = [text.ljust(width) for text, width in zip(row[:2], widths[:2], strict=True)]
    numbers = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
    return "  ".join([*names, *numbers]).rstrip()


def _trials(seed: Seed | None) -> str:
    return f"{seed.trials:,.1f}" if seed else "0"


def _rate(seed: Seed | None) -> str:
    return percent(seed.clicks, seed.trials) if seed else "-"


def percent(clicks: float, impressions: float) -> str:
    """The click rate with three significant digits."""
    return f"{100 * clicks / impressions:.3g} %"


def summary(path: Path, history: History, pairs: "pd.DataFrame") -> str:
    """What the history holds and what was made of it; `pairs` as bandit.cold_start.expected_ctr gave them."""
    impressions, clicks = int(pairs["impressions"].sum()), int(pairs["clicks"].sum())
    expected = (pairs["impressions"] * pairs["expected_ctr"]).sum()
    lines = [
        f"{path.name}: {history.rows:,} rows, {impressions:,} impressions, {clicks:,} clicks, "
        f"CTR {percent(clicks, impressions)}; the fit expects {expected:,.1f} clicks.",
        *_about_cities(history, pairs),
    ]
    if not clicks:
        lines.append("No row has a click, so all pairs get the same low click rate.")
    lines += _without_history("banner", "expected to be average", pairs)
    lines += _without_history("city", "expected to be like the others", pairs)
    return "\n".join(lines)


def _about_cities(history: History, pairs: "pd.DataFrame") -> list[str]:
    lines = []
    if history.unrecognised:
        most_first = sorted(history.unrecognised.items(), key=lambda item: (-item[1], item[0]))
        names = listing([f"{name!r} ({impressions:,})" for name, impressions in most_first])
        lines.append(f"Counted as {OTHER}, since the tenant has no such cities (impressions): {names}.")
    nameless = pairs.loc[pairs["city"] == UNKNOWN, "impressions"].sum()
    if nameless:
        lines.append(f"Counted as {UNKNOWN}, since no city is named: {nameless:,} impressions.")
    return lines


def _without_history(kind: str, expectation: str, pairs: "pd.DataFrame") -> list[str]:
    impressions = pairs.groupby(kind)["impressions"].sum()
    names = list(impressions.index[impressions == 0])
    return [f"Without history, hence {expectation}, with little weight: {kind} {listing(names)}."] if names else []

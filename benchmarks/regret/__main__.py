"""python -m benchmarks.regret: simulate, print what each way of choosing loses, and draw it."""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import numpy as np

from benchmarks.regret.plot import plot
from benchmarks.regret.simulation import Terms
from benchmarks.regret.studies import STUDIES
from benchmarks.regret.study import Outcome, Row, Size

FULL = Size(seeds=20, impressions=300_000)
QUICK = Size(seeds=3, impressions=50_000, slack=1.4)
PACKAGES = ("mabwiser", "matplotlib")
"""Of the development environment alone; imported when they are used, which may be after half an hour."""
CANNOT_SIMULATE = 2
ALL_BUT_FURTHER = [name for name in STUDIES if name != "further"]


class Progress:
    """What is being simulated and for how long, on one line of a terminal; elsewhere a line now and then."""

    EVERY_SECONDS = 30.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = self._said = time.monotonic()
        self._runs = 0

    def __call__(self, what: str) -> None:
        """A run begins."""
        self._runs += 1
        now = time.monotonic()
        if not self._stream.isatty() and now - self._said < self.EVERY_SECONDS:
            return
        self._said = now
        line = f"  {self._runs:5} runs, {now - self._started:6.0f} s: {what}"
        self._stream.write(f"\r{line:78}" if self._stream.isatty() else f"{line}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Make room for what is printed next."""
        if self._stream.isatty():
            self._stream.write(f"\r{'':78}\r")


def main(arguments: Sequence[str]) -> int:
    """0 when every target is met, 1 when not, 2 when a package is missing."""
    options = _parser().parse_args(arguments)
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        print(f"{missing[0]} is missing; run: make environment-dev", file=sys.stderr)
        return CANNOT_SIMULATE
    base = QUICK if options.quick else FULL
    size = base._replace(seeds=options.seeds or base.seeds, impressions=options.impressions or base.impressions)
    progress, outcomes = Progress(sys.stderr), []
    for name in options.studies or ALL_BUT_FURTHER:
        outcomes.append(STUDIES[name](size, progress))
        progress.clear()
        _print(name, outcomes[-1])
        if options.output:
            _write(options.output, name, outcomes[-1])
    return 0 if all(result.met for outcome in outcomes for result in outcome.results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regret", description=__doc__)
    names = ", ".join(STUDIES)
    parser.add_argument("studies", nargs="*", metavar="study", help=f"{names}; all but `further` when none is named")
    parser.add_argument("--quick", action="store_true", help="3 seeds of 50,000 impressions, with wider targets")
    parser.add_argument("--seeds", type=int, help="runs of each kind")
    parser.add_argument("--impressions", type=int, help="impressions of a run")
    parser.add_argument("--output", type=Path, help="a directory for a table (CSV) of every run, and the plot (SVG)")
    return parser


def _print(name: str, outcome: Outcome) -> None:
    print(f"\n{name}" + (": expected clicks lost, mean and its standard error" if outcome.rows else ""))
    for setting in dict.fromkeys(row.setting for row in outcome.rows):
        print(f"  {setting}")
        for policy in dict.fromkeys(row.policy for row in outcome.rows):
            regrets = [row.regret for row in outcome.rows if (row.setting, row.policy) == (setting, policy)]
            if regrets:
                print(f"    {policy:36} {np.mean(regrets):10,.1f} +- {np.std(regrets) / len(regrets) ** 0.5:,.1f}")
    for result in outcome.results:
        print(result.line())
    sys.stdout.flush()


def _write(directory: Path, name: str, outcome: Outcome) -> None:
    if not outcome.rows:
        return
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(row._replace(regret=round(row.regret, 2)) for row in outcome.rows)
    if outcome.curves:
        plot(outcome.curves, Terms().refresh, directory / f"{name}.svg")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

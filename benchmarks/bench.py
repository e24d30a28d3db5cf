"""Measure the service against its targets. Needs wrk, and a machine with nothing else to do.

    python -m benchmarks [banner] [click] [page] [cells] [memory] [--seconds 20] [--workers 1 2]

  banner  GET /banner against a bare Flask hello-world on the same server
  click   POST /click against the same
  page    POST /page with five slots against GET /banner
  cells   GET /banner with a million cells in the store against a small store
  memory  a worker's memory after a million requests

Absolute figures say something about the machine; what counts are ratios of rounds by turns. Everything runs on
loopback, in a temporary directory.

Exit codes: 0 every target is met, 1 one is missed, 2 it could not be measured.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import wrk
from benchmarks.cells import measure_cells
from benchmarks.memory import measure_memory
from benchmarks.page import measure_page
from benchmarks.results import Result
from benchmarks.throughput import measure_banner, measure_click

MISSED = 1
CANNOT_MEASURE = 2

ROUND_SECONDS = 20.0
"""Shorter rounds are good for a look only."""

Measure = Callable[[Path, float, int], list[Result]]

PARTS: dict[str, Measure] = {
    "banner": measure_banner,
    "click": measure_click,
    "page": measure_page,
    "cells": measure_cells,
    "memory": measure_memory,
}
FOR_EACH_WORKERS = ("banner", "click", "page")
"""The other parts use one worker, of which they say something."""


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _options(arguments)
    results = []
    try:
        wrk.check()
        for name, workers in _plan(options.parts or list(PARTS), options.workers):
            print(f"{name}, workers: {workers}", flush=True)
            results += _measure(PARTS[name], options.seconds, workers)
    except wrk.CannotMeasure as error:
        print(error, file=sys.stderr)
        return CANNOT_MEASURE
    finally:
        print("\n".join(["", *(result.line() for result in results)]))
    return 0 if all(result.met for result in results) else MISSED


def _plan(parts: Sequence[str], workers: Sequence[int]) -> Iterator[tuple[str, int]]:
    for name in parts:
        for count in workers if name in FOR_EACH_WORKERS else [1]:
            yield name, count


def _measure(measure: Measure, seconds: float, workers: int) -> list[Result]:
    with TemporaryDirectory(prefix="banner-bench-") as directory:
        return measure(Path(directory), seconds, workers)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="part", type=_part, help="which to measure; else all")
    parser.add_argument("--seconds", type=float, default=ROUND_SECONDS, help="of a round (default: %(default)g)")
    those = " and ".join(FOR_EACH_WORKERS)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help=f"for {those} (default: 1 2)")
    return parser.parse_args(arguments)


def _part(name: str) -> str:
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

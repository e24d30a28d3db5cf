"""python -m benchmarks.learning: how long fitting a slot takes, and the probabilities of one of its cities.

Prints milliseconds, the best of many rounds: what others do on the machine only adds to them. Exit code 1 where the
probabilities of a city take longer than they may.
"""

import argparse
import sys
import timeit
from collections.abc import Callable, Sequence

import numpy as np

from bandit.posterior import fit
from bandit.thompson import probabilities
from benchmarks.results import Result

LIMITS_MS = {(50, 10): 2.5, (500, 80): 20.0}
"""(cities, banners) -> the most that 1,000 draws for one city may take."""
ROUNDS = 50


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__).parse_args(arguments)
    results = [_measure(cities, banners, limit_ms) for (cities, banners), limit_ms in LIMITS_MS.items()]
    print("\n".join(result.line() for result in results))
    return 0 if all(result.met for result in results) else 1


def _measure(cities: int, banners: int, limit_ms: float) -> Result:
    rng = np.random.Generator(np.random.SFC64(1))  # as a worker has it
    trials = rng.integers(0, 2_000, size=(cities, banners))
    clicks = rng.binomial(trials, rng.uniform(0.01, 0.05, size=banners))
    posterior = fit(trials, clicks)
    fit_ms = _best_ms(lambda: fit(trials, clicks))
    city_ms = _best_ms(lambda: probabilities(posterior, 0, rng))
    name = f"one city of {cities} x {banners}"
    return Result(name, city_ms, limit_ms, at_least=False, unit="ms", detail=f"fitting the slot: {fit_ms:.1f} ms")


def _best_ms(measured: Callable[[], object]) -> float:
    return min(timeit.repeat(measured, number=1, repeat=ROUNDS)) * 1_000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How many GET /banner and POST /click a second, against a bare hello-world in rounds by turns."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import wrk
from benchmarks.clicks import tokens, trickle, write_tokens
from benchmarks.content import Content
from benchmarks.results import Result, slowest, speed
from benchmarks.servers import HOST, Target, hello, running
from benchmarks.wrk import Load

CONTENT = Content(slots=20, cities=50, banners=10)
ROUNDS = 3
WARM_UP_SECONDS = 3.0
BANNER_RATIO = 2.5
CLICK_RATIO = 1.0
FIRST_TOKENS = 200_000
SPARE = 1.5
"""More tokens than the rate so far asks for, since a round may be faster than the last."""


def measure_banner(directory: Path, seconds: float, workers: int) -> list[Result]:
    """GET /banner: 10 banners in 20 slots and 50 cities, journaled, changing customers, with clicks to learn from."""
    with running(directory, CONTENT, workers) as target, hello(workers) as hello_url:
        trickled = tokens(target.keyring, CONTENT, random.Random(1))

        def ours(length: float) -> Load:
            with trickle(HOST, target.service.port, target.key, trickled):
                return load_banner(target, length)

        return _compare(f"GET /banner, {in_words(workers)}", target, hello_url, ours, seconds, BANNER_RATIO)


def measure_click(directory: Path, seconds: float, workers: int) -> list[Result]:
    """POST /click: each with a token of its own."""
    with running(directory, CONTENT, workers) as target, hello(workers) as hello_url:
        clicks = Clicks(target, directory / "tokens")
        return _compare(f"POST /click, {in_words(workers)}", target, hello_url, clicks.load, seconds, CLICK_RATIO)


def load_banner(target: Target, seconds: float, connections: int = wrk.CONNECTIONS) -> Load:
    """GET /banner all over the first slots and cities that CONTENT has too."""
    slots, cities = min(target.content.slots, CONTENT.slots), min(target.content.cities, CONTENT.cities)
    return wrk.run(target.url, seconds, "banner", target.key, slots, cities, connections=connections)


class Clicks:
    """Loads of clicks, of which none is ever repeated."""

    def __init__(self, target: Target, path: Path) -> None:
        self._target = target
        self._path = path
        self._tokens = tokens(target.keyring, target.content, random.Random(2))
        self._needed_per_second = FIRST_TOKENS / WARM_UP_SECONDS

    def load(self, seconds: float) -> Load:
        """Tokens are made before the clock starts."""
        write_tokens(self._path, self._tokens, round(self._needed_per_second * seconds))
        load = wrk.run(self._target.url, seconds, "click", self._target.key, self._path)
        self._path.unlink()
        self._needed_per_second = SPARE * load.per_second
        return load


def _compare(
    name: str, target: Target, hello_url: str, ours: Callable[[float], Load], seconds: float, ratio: float
) -> list[Result]:
    """Rounds by turns, each after the drain has caught up."""

    def theirs(length: float) -> Load:
        return wrk.run(hello_url, length, "banner", target.key, CONTENT.slots, CONTENT.cities)

    measured = by_turns(target, ours, theirs, seconds)
    return [speed(name, *measured, ratio), slowest(f"{name}, p99", *measured)]


def by_turns(
    target: Target, ours: Callable[[float], Load], theirs: Callable[[float], Load], seconds: float
) -> tuple[Sequence[Load], Sequence[Load]]:
    """ROUNDS of each, a line for each round."""
    ours(WARM_UP_SECONDS), theirs(WARM_UP_SECONDS)
    target.wait_until_drained()
    our_loads, their_loads = [], []
    for number in range(1, ROUNDS + 1):
        our_loads.append(ours(seconds))
        backlog = target.wait_until_drained()
        their_loads.append(theirs(seconds))
        print(
            f"  round {number}: {our_loads[-1].per_second:,.0f} against {their_loads[-1].per_second:,.0f} requests/s; "
            f"the drain had {backlog.mib:.1f} MiB left and took {backlog.seconds:.1f} s for them",
            flush=True,
        )
    return our_loads, their_loads


def in_words(count: int) -> str:
    """So many workers."""
    return f"{count} worker{'s' if count > 1 else ''}"

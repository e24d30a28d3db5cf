"""Whether a store with a million cells slows GET /banner: the same calls to a large and to a small store by turns."""

from pathlib import Path

from benchmarks.content import Content
from benchmarks.results import Result, speed
from benchmarks.servers import running
from benchmarks.throughput import CONTENT, by_turns, load_banner
from benchmarks.wrk import Load

LARGE = Content(slots=500, cities=200, banners=10)
RATIO = 0.9


def measure_cells(directory: Path, seconds: float, workers: int) -> list[Result]:
    """GET /banner over 20 slots and 50 cities of both stores; every cell of the large one was counted today."""
    print(f"  counting an impression in each of {LARGE.cells:,} cells", flush=True)
    with (
        running(directory / "large", LARGE, workers, every_cell=True) as large,
        running(directory / "small", CONTENT, workers) as small,
    ):

        def small_load(length: float) -> Load:
            load = load_banner(small, length)
            small.wait_until_drained()
            return load

        measured = by_turns(large, lambda length: load_banner(large, length), small_load, seconds)
        return [speed(f"GET /banner, {LARGE.cells:,} cells", *measured, RATIO)]

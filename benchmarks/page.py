"""What POST /page costs: five slots in one call against GET /banner for one, of the same service by turns."""

from pathlib import Path

from benchmarks import wrk
from benchmarks.results import Result, cost
from benchmarks.servers import running
from benchmarks.throughput import CONTENT, by_turns, load_banner
from benchmarks.wrk import Load

ON_A_PAGE = 5
RATIO = 2.5


def measure_page(directory: Path, seconds: float, workers: int) -> list[Result]:
    """Slots that follow each other, all with banners of the same ids, so that each choice leaves out some."""
    with running(directory, CONTENT, workers) as target:

        def pages(length: float) -> Load:
            load = wrk.run(target.url, length, "page", target.key, CONTENT.slots, CONTENT.cities, ON_A_PAGE)
            target.wait_until_drained()
            return load

        measured = by_turns(target, pages, lambda length: load_banner(target, length), seconds)
        return [cost(f"POST /page with {ON_A_PAGE} slots, in GET /banner", *measured, RATIO)]

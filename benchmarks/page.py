"""What POST /page costs: five slots in one call against GET /banner for one, of the same service by turns.

In two ways, since they differ: how long one caller waits for its answer, and how many a busy service answers.
"""

from functools import partial
from pathlib import Path

from benchmarks import wrk
from benchmarks.results import Result, cost
from benchmarks.servers import running
from benchmarks.throughput import CONTENT, by_turns, in_words, load_banner
from benchmarks.wrk import Load

ON_A_PAGE = 5
RATIO = 2.5
WAYS = (("as one caller waits for it", 1), ("as a busy service answers it", wrk.CONNECTIONS))


def measure_page(directory: Path, seconds: float, workers: int) -> list[Result]:
    """Slots that follow each other, all with banners of the same ids, so that each choice leaves out some."""
    with running(directory, CONTENT, workers) as target:

        def pages(length: float, connections: int) -> Load:
            arguments = ("page", target.key, CONTENT.slots, CONTENT.cities, ON_A_PAGE)
            load = wrk.run(target.url, length, *arguments, connections=connections)
            target.wait_until_drained()
            return load

        results = []
        for way, connections in WAYS:
            ours = partial(pages, connections=connections)
            measured = by_turns(target, ours, partial(load_banner, target, connections=connections), seconds)
            name = f"POST /page with {ON_A_PAGE} slots, {in_words(workers)}, {way}, in GET /banner"
            results.append(cost(name, *measured, RATIO))
        return results

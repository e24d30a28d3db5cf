"""What a worker occupies after a million requests over a thousand slots, and whether it still grows."""

from pathlib import Path

from benchmarks import wrk
from benchmarks.content import Content
from benchmarks.results import Result
from benchmarks.servers import Target, running

CONTENT = Content(slots=1_000, cities=15, banners=10)
REQUESTS = 1_000_000
MOST_MIB = 200.0
GROWTH = 1.02
"""In the second half of the requests; what remains is noise of the allocator."""


def measure_memory(directory: Path, seconds: float, workers: int) -> list[Result]:
    """The length of a round only says how often progress is shown."""
    print(f"  making {CONTENT.slots:,} slots", flush=True)
    with running(directory, CONTENT, workers) as target:
        load = _Load(target, seconds)
        half = load.until(REQUESTS // 2)
        whole = load.until(REQUESTS)
    return [
        Result(f"worker after {REQUESTS:,} requests", whole, MOST_MIB, at_least=False, unit="MiB"),
        Result("its growth in the second half", whole / half, GROWTH, at_least=False, detail=f"from {half:.1f} MiB"),
    ]


class _Load:
    def __init__(self, target: Target, seconds: float) -> None:
        self._target = target
        self._seconds = seconds
        self._done = 0

    def until(self, requests: int) -> float:
        """MiB of the largest worker once there were at least so many requests in all."""
        key, content = self._target.key, self._target.content
        while self._done < requests:
            round_ = wrk.run(self._target.url, self._seconds, "banner", key, content.slots, content.cities)
            self._done += round_.requests
            self._target.wait_until_drained()
            print(f"  {self._done:,} requests: {self._target.worker_mib():.1f} MiB", flush=True)
        return self._target.worker_mib()

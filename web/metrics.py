"""Numbers for Prometheus. Hot calls only add to plain dictionaries; a thread publishes what was added once a second.

The dictionaries hold totals that only grow: whoever publishes reads them and takes nothing out, so that an addition at
the same moment is neither lost nor counted twice.
"""

import fcntl
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

log = logging.getLogger(__name__)

SAMPLE_EVERY = 16
"""One hot call in this many is timed: observing a histogram costs as much as deciding."""
LATENCY_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
MAX_WORKERS = 1024
FILE_BYTES = 1 << 17
"""Of each file of prometheus-client. All there can be (calls, statuses, events, buckets) takes less than half."""
K = TypeVar("K")


def claim_worker_index(directory: Path) -> tuple[int, IO[bytes]]:
    """The lowest index no living process holds, and the open file that holds it for this one.

    Names the files of prometheus-client by a small number instead of a process id, so restarts do not pile up files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for index in range(MAX_WORKERS):
        file = (directory / f"worker-{index}.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
        else:
            return index, file
    raise RuntimeError(f"more than {MAX_WORKERS} processes use {directory}")


def take_room(path: Path) -> None:
    """Give a file of prometheus-client blocks for all it may hold; what it says stays. Raises OSError without room.

    The client maps its files, and made by itself they have holes: writing into one while the disk is full kills the
    process (SIGBUS).
    """
    content = path.read_bytes() if path.exists() else b""
    try:
        with path.open("r+b" if content else "wb") as file:
            file.write(content.ljust(FILE_BYTES, b"\0"))
    except OSError:
        if not content:
            path.unlink(missing_ok=True)  # the client cannot read an empty file
        raise


class Metrics:
    """The counters of one worker process, and the sum over all of them."""

    def __init__(self, directory: Path, gauges: Callable[[], dict[str, tuple[str, float]]]) -> None:
        """`gauges` gives name -> (help, value) of what is true of the installation now; a total's name ends so."""
        index, self._index_file = claim_worker_index(directory)
        # prometheus-client chooses its storage when it is imported, hence the variable first and the import here.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
        import prometheus_client
        from prometheus_client import values

        values.ValueClass = values.MultiProcessValue(lambda: index)  # type: ignore[no-untyped-call]
        self._client = prometheus_client
        self._directory = directory
        self._files = tuple(directory / f"{kind}_{index}.db" for kind in ("counter", "histogram"))
        self._has_room = False
        self._gauges = gauges
        registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "banner_requests", "Hot calls answered.", ["call", "status"], registry=registry
        )
        self._events = prometheus_client.Counter(
            "banner_events", "Things that happened while answering.", ["event"], registry=registry
        )
        self._latency = prometheus_client.Histogram(
            "banner_request_seconds",
            f"Time inside the door, of one call in {SAMPLE_EVERY}.",
            ["call"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._answered: dict[tuple[str, int], int] = defaultdict(int)
        self._happened: dict[str, int] = {}
        self._published: dict[Any, int] = {}
        """What of them /metrics knows; under the lock."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        try:
            self._take_room()
        except OSError as error:
            log.warning("/metrics goes without the numbers of this worker until its files find room: %s", error)

    def start(self) -> None:
        """Publish once a second until stop."""
        self._thread.start()

    def stop(self) -> None:
        """Publish what is left."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)
        self._publish()
        self._index_file.close()

    def answered(self, call: str, status: int) -> bool:
        """Count a hot call; True when this one should be timed next."""
        key = call, status
        self._answered[key] += 1
        return self._answered[key] % SAMPLE_EVERY == 0

    def took(self, call: str, seconds: float) -> None:
        """Record a timed call."""
        if self._has_room:
            self._latency.labels(call).observe(seconds)

    def happened(self, event: str) -> None:
        """Count something worth knowing that is no request, such as an unrecorded impression."""
        self._happened[event] = self._happened.get(event, 0) + 1

    def render(self) -> bytes:
        """The text Prometheus reads, summed over all workers."""
        from prometheus_client import multiprocess

        self._publish()
        registry = self._client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=str(self._directory))  # type: ignore[no-untyped-call]
        text: bytes = self._client.generate_latest(registry)
        return text + self._gauge_text()

    def _gauge_text(self) -> bytes:
        lines = []
        for name, (explanation, value) in self._gauges().items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}", f"{name} {value}"]
        return ("\n".join(lines) + "\n").encode()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            self._publish()

    def _take_room(self) -> None:
        if not self._has_room:
            for file in self._files:
                take_room(file)
            self._has_room = True

    def _publish(self) -> None:
        with self._lock:
            try:
                self._take_room()
            except OSError:
                return  # until there is room the numbers wait in the dictionaries
            for (call, status), count in self._news(self._answered):
                self._requests.labels(call, str(status)).inc(count)
            for event, count in self._news(self._happened):
                self._events.labels(event).inc(count)

    def _news(self, totals: dict[K, int]) -> Iterator[tuple[K, int]]:
        """What came since it was published last, which it counts as from here on."""
        for key, total in totals.copy().items():
            count = total - self._published.get(key, 0)
            if count:
                self._published[key] = total
                yield key, count

"""What a consumer says about itself: /metrics for Prometheus, and /livez, which fails when it makes no progress."""

import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

NO_PROGRESS_SECONDS = 60.0
FLUSH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ConsumerMetrics:
    """The numbers of one consumer process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic, in seconds."""
        self.registry = CollectorRegistry()
        self._clock = clock
        self._progress_at = clock()
        self._positions: set[int] = set()
        self.records = self._counter("records", "Records read from the log.")
        self.duplicates = self._counter("duplicates", "Records that the transport had brought before.")
        self.dead_letters = self._counter("dead_letters", "Records that went to the dead-letter topic.")
        self.failures = self._counter("failures", "Attempts that found the store, broker or registry away.")
        self.flush_seconds = Histogram(
            "banner_consumer_flush_seconds",
            "Time to store counts and progress.",
            buckets=FLUSH_BUCKETS,
            registry=self.registry,
        )
        self._lag = self._gauge("lag", "Records in the log that are not counted yet.")
        self._position = self._gauge("position", "Offset up to which everything is counted and stored.")
        Gauge("banner_consumer_no_progress_seconds", "Time since it got on.", registry=self.registry).set_function(
            self.stuck_seconds
        )

    def progressed(self) -> None:
        """It got on, or there was nothing to do."""
        self._progress_at = self._clock()

    def stuck_seconds(self) -> float:
        """How long it has had work and not got on."""
        return self._clock() - self._progress_at

    def is_healthy(self) -> bool:
        """A consumer that polls and gets nowhere is not."""
        return self.stuck_seconds() < NO_PROGRESS_SECONDS

    def show(self, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """By shard, of those it has: the stored position and the end of the log."""
        for shard in self._positions - positions.keys():
            self._position.remove(shard)
            self._lag.remove(shard)
        self._positions = set(positions)
        for shard, position in positions.items():
            self._position.labels(shard).set(position)
            self._lag.labels(shard).set(max(0, ends.get(shard, position) - position))

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"banner_consumer_{name}", text, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"banner_consumer_{name}", text, ["shard"], registry=self.registry)


def serve(metrics: ConsumerMetrics, host: str, port: int) -> ThreadingHTTPServer:
    """Answer /metrics and /livez from a thread until `shutdown`. Raises OSError where it cannot listen."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = _answer(metrics, self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: probes come every few seconds."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _answer(metrics: ConsumerMetrics, path: str) -> tuple[int, str, bytes]:
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry)
    if path != "/livez":
        return 404, "text/plain", b"there are /metrics and /livez\n"
    if metrics.is_healthy():
        return 200, "text/plain", b"ok\n"
    return 503, "text/plain", f"no progress for {metrics.stuck_seconds():.0f} s\n".encode()

"""Work that pages leave to one background thread, so that nobody waits for it."""

import logging
import threading
import time
from collections.abc import Callable, Hashable

from storage.base import StoreUnavailable

log = logging.getLogger(__name__)

CORE_SHARE = 0.2
"""Of a core, while there is work: requests for banners go on beside it."""
PAUSE_SECONDS = 2.0
"""Before the next piece when the store is away."""


class Later:
    """Pieces of work, done one after the other in the order in which they were first asked for. For any number of
    threads, and without a thread until it is started: then `add` only notes."""

    def __init__(self, share: float = CORE_SHARE) -> None:
        self._share = share
        self._waiting: dict[Hashable, Callable[[], object]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, name: Hashable, work: Callable[[], object]) -> None:
        """Have it done once, unless a piece of this name waits already."""
        with self._lock:
            self._waiting.setdefault(name, work)
        self._wake.set()

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="later", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the present piece and forget the others."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            work = self._next()
            if work is None:
                self._wake.wait()
                self._wake.clear()
            else:
                self._stop.wait(_seconds_of(work) * (1 / self._share - 1))

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            name = next(iter(self._waiting), None)
            return None if name is None else self._waiting.pop(name)


def _seconds_of(work: Callable[[], object]) -> float:
    """Of the processor, for doing it."""
    start = time.thread_time()
    try:
        work()
    except StoreUnavailable as error:
        log.info("the store is away, pages show what is known: %s", error)
        return PAUSE_SECONDS
    except Exception:
        log.exception("this could not be read for the pages")
    return time.thread_time() - start

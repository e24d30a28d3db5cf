"""The drain process: from the journal into the store, or into Kafka; and out of the store what is too old."""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from settings import Settings
from storage.base import EventSink, Record, Refusal, StoreUnavailable
from storage.drain import drain
from storage.opening import store_for
from storage.retention import keep_pruned
from storage.sample_ratio_watch import watch
from storage.sqlite import SqliteStore

SERVING_FIRST = 10
"""Lower priority than the workers: on a busy machine banners are not slower because clicks are being counted."""


HURRY_PART = 4
"""Once this part of the journal's room is used the drain works as fast as it can."""


class _Sink(EventSink):
    """Opens the store when it can, so that the drain is alive, and waits, while the store is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: SqliteStore | None = None

    def open(self) -> SqliteStore:
        """The store, made or upgraded when first reached. Raises StoreUnavailable."""
        self._store = self._store or SqliteStore.open(self._path)
        return self._store

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        return self.open().deliver(records)


def run(settings: Settings, stop: threading.Event) -> None:
    """Drain until `stop`, and then what is left; raises whatever ends the drain before."""
    os.nice(SERVING_FIRST)
    settings.paths.make()
    with ThreadPoolExecutor(3, "drain") as pool:
        # Not on the main thread: a signal handler that sets `stop` could interrupt a wait for it and never return.
        start = _into_store if settings.storage.backend == "sqlite" else _into_kafka
        draining = start(settings, stop, pool)
        try:
            pool.submit(watch, store_for(settings), settings.paths.journal, stop, _now_us)
            draining.result()
        finally:
            stop.set()


def _now_us() -> int:
    return time.time_ns() // 1000


def _into_store(settings: Settings, stop: threading.Event, pool: Executor) -> "Future[None]":
    """Counting happens here, and so does forgetting."""
    sink = _Sink(settings.paths.database)
    with suppress(StoreUnavailable):  # with the first delivery then
        sink.open()
    pool.submit(
        keep_pruned,
        SqliteStore(settings.paths.database),
        stop,
        retention_days=settings.storage.retention_days,
        now_us=_now_us,
    )
    return pool.submit(_drain, settings, sink, stop)


def _into_kafka(settings: Settings, stop: threading.Event, pool: Executor) -> "Future[None]":
    """Consumers count, and Cassandra and Kafka forget by themselves. Raises MissingPackage."""
    from kafka_ingest.opening import sink

    return pool.submit(_drain, settings, sink(settings), stop)


def _drain(settings: Settings, sink: EventSink, stop: threading.Event) -> None:
    drain(
        settings.paths.journal,
        sink,
        stop=stop,
        batch_records=settings.drain.batch_records,
        idle_seconds=settings.drain.idle_ms / 1000,
        cpu_share=settings.drain.cpu_share,
        hurry_bytes=(settings.journal.max_mib << 20) // HURRY_PART,
    )

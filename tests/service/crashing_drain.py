"""A drain that dies at the worst moment: `python -m tests.service.crashing_drain journal store sink moment`.

The moments: `delivered`, when the sink has taken a batch and the mark has not moved; `marked`, when the mark of that
batch has moved and the next batch is at hand; `never`, when it drains everything and ends.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.base import EventSink, Record, Refusal
from storage.drain import drain
from storage.sqlite import SqliteStore

BATCH_RECORDS = 300
DELIVERIES = 3


class Forgetful(SqliteStore):
    """Broken: does not remember what it took, so what is delivered again counts again."""

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        with self._connections.writing() as connection:
            connection.execute("DELETE FROM positions")
            connection.execute("DELETE FROM gaps")
        return super().deliver(records)


class Hasty(SqliteStore):
    """Broken: says that it took a batch before it has written it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._held: list[Record] = []

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        held, self._held = self._held, list(records)
        return super().deliver(held)

    def flush(self) -> None:
        super().deliver(self._held)


SINKS: dict[str, Callable[[Path], SqliteStore]] = {"sound": SqliteStore, "forgetful": Forgetful, "hasty": Hasty}


class Crashing(EventSink):
    """Kills its process around a delivery."""

    def __init__(self, sink: EventSink, moment: str) -> None:
        self._sink = sink
        self._moment = moment
        self._deliveries = 0

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        if self._deliveries == DELIVERIES:
            self._die_at("marked")
        refusals = self._sink.deliver(records)
        self._deliveries += 1
        if self._deliveries == DELIVERIES:
            self._die_at("delivered")
        return refusals

    def _die_at(self, moment: str) -> None:
        if self._moment == moment:
            os.kill(os.getpid(), signal.SIGKILL)


def main(journal: str, store: str, name: str, moment: str) -> None:
    """Drain what is there, as far as it gets."""
    sink = SINKS[name](Path(store))
    stop = threading.Event()
    stop.set()
    drain(Path(journal), Crashing(sink, moment), stop=stop, batch_records=BATCH_RECORDS, finish_seconds=60)
    if isinstance(sink, Hasty):
        sink.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

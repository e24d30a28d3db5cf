"""Sinks that remember what they took."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.base import EventSink, Record, Refusal, StoreUnavailable
from tests.storage.journal_records import PLACE, Place, place_of


class RecordingSink(EventSink):
    """Keeps what it is given, each batch apart, and counts each record once, as a store does."""

    def __init__(self, refused: Callable[[Place], bool] = lambda _: False) -> None:
        self.refused = refused
        self.available = True
        self.attempts = 0
        self.batches: list[list[Place]] = []
        self.taken: dict[Place, None] = {}

    @property
    def places(self) -> list[Place]:
        return list(self.taken)

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        self.attempts += 1
        if not self.available:
            raise StoreUnavailable("the store is down")
        places = [place_of(record) for record in records]
        self.batches.append(places)
        self.taken.update(dict.fromkeys(place for place in places if not self.refused(place)))
        refused = [record for record, place in zip(records, places, strict=True) if self.refused(place)]
        return [Refusal(record, "it is unwanted") for record in refused]


class FileSink(EventSink):
    """Appends places to a file and outlives its process: what the file holds is not taken again.

    A lazy one breaks the contract: it keeps a batch in memory until the next arrives.
    """

    def __init__(self, path: Path, *, lazy: bool = False) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        os.ftruncate(self._descriptor, path.stat().st_size // PLACE.size * PLACE.size)
        self._highest: dict[tuple[int, int], int] = {}
        for place in written_places(path):
            self._highest[place.journal, place.shard] = place.sequence
        self._lazy = lazy
        self._kept = b""

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        data = b"".join(PLACE.pack(*place) for place in map(place_of, records) if self._is_new(place))
        if self._lazy:
            data, self._kept = self._kept, data
        os.write(self._descriptor, data)
        return []

    def _is_new(self, place: Place) -> bool:
        key = (place.journal, place.shard)
        if place.sequence <= self._highest.get(key, 0):
            return False
        self._highest[key] = place.sequence
        return True


def written_places(path: Path) -> list[Place]:
    """All whole places in a file."""
    data = path.read_bytes() if path.exists() else b""
    return [Place(*place) for place in PLACE.iter_unpack(data[: len(data) // PLACE.size * PLACE.size])]

"""What a process remembered of the counts, on disk: days that are over need not be read again after a restart."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bandit.model import ALL_CITIES, CountRow

log = logging.getLogger(__name__)

FORMAT = 1


class SavedDay(NamedTuple):
    """One day of a slot, all cities together."""

    rows: list[CountRow]
    read_on: int
    """The day it was when they were read."""


class SavedCounts(NamedTuple):
    """All that was known."""

    cursor: int = 0
    """Of the store's changes."""
    slots: Mapping[tuple[str, str], dict[int, SavedDay]] = {}


class DailyCountsFile:
    """One file, replaced as a whole. Workers replace each other's: what one knows is as good as what another does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, counts: SavedCounts) -> None:
        """Keep it. A failure is logged: pages work without."""
        own = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            own.write_bytes(_to_json(counts))
            own.replace(self._path)
        except OSError as error:
            log.warning("the daily counts could not be saved: %s", error)

    def load(self) -> SavedCounts:
        """What was saved last; nothing where that cannot be used."""
        try:
            document = orjson.loads(self._path.read_bytes())
            return _from_json(document) if document["format"] == FORMAT else SavedCounts()
        except FileNotFoundError:
            return SavedCounts()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the saved daily counts cannot be used: %s", error)
            return SavedCounts()


def _to_json(counts: SavedCounts) -> bytes:
    # Slot by slot: requests wait while one is written, and all together would be too long.
    slots = [(*key, orjson.Fragment(_slot_to_json(days))) for key, days in counts.slots.items()]
    return orjson.dumps({"format": FORMAT, "cursor": counts.cursor, "slots": slots})


def _slot_to_json(days: Mapping[int, SavedDay]) -> bytes:
    return orjson.dumps(
        [
            (day, read_on, [(row.policy, row.banner, row.served, row.viewed, row.clicks) for row in rows])
            for day, (rows, read_on) in days.items()
        ]
    )


def _from_json(document: dict[str, Any]) -> SavedCounts:
    slots = {
        (tenant, slot): {day: SavedDay(_rows(day, rows), read_on) for day, read_on, rows in days}
        for tenant, slot, days in document["slots"]
    }
    return SavedCounts(int(document["cursor"]), slots)


def _rows(day: int, rows: list[list[Any]]) -> list[CountRow]:
    return [CountRow(day, policy, ALL_CITIES, banner, *counted) for policy, banner, *counted in rows]

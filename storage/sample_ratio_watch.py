"""Looks from time to time whether banners are drawn as often as the log says, and leaves a note for /metrics."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bandit.sample_ratio import check
from bandit.zone import day_of
from storage.base import Store, StoreUnavailable

log = logging.getLogger(__name__)

PAUSE_SECONDS = 60.0
LOOKBACK_DAYS = 7
"""So that an alarm ends a week after its cause."""


class Alarm(NamedTuple):
    """A banner that is out of ratio."""

    tenant: str
    slot: str
    banner: str


def watch(store: Store, directory: Path, stop: threading.Event, now_us: Callable[[], int]) -> None:
    """Look until `stop`; a new alarm is logged."""
    known: set[Alarm] = set(read_alarms(directory))
    while not stop.is_set():
        try:
            found = find(store, now_us())
            for alarm in sorted(found - known):
                log.error("tenant %s, slot %s: banner %s is not drawn as often as its propensities say", *alarm)
            known = found
            _write(directory, found)
        except (StoreUnavailable, OSError) as error:
            log.warning("sample ratios were not checked: %s", error)
        stop.wait(PAUSE_SECONDS)


def find(store: Store, now_us: int) -> set[Alarm]:
    """All banners that are out of ratio in the last week. Raises StoreUnavailable."""
    found, configuration = set(), store.configuration()
    for (tenant, slot_id), slot in configuration.slots.items():
        today = day_of(now_us, configuration.tenants[tenant].time_zone)
        rows = store.sampled(tenant, slot_id, today - LOOKBACK_DAYS + 1, today)
        ratios = check(rows, slot, configuration.banners.get((tenant, slot_id), {}).values())
        found |= {Alarm(tenant, slot_id, ratio.banner) for ratio in ratios if ratio.alarm}
    return found


def read_alarms(directory: Path) -> list[Alarm]:
    """Those of the last look; none where nobody looked yet."""
    try:
        written = json.loads(_path(directory).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    return [Alarm(*one) for one in written]


def _write(directory: Path, found: set[Alarm]) -> None:
    draft = _path(directory).with_suffix(".tmp")
    draft.write_text(json.dumps(sorted(found)), "utf-8")
    draft.replace(_path(directory))


def _path(directory: Path) -> Path:
    return directory / "sample_ratio.json"

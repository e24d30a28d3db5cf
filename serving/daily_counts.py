"""Counts of slots by day, policy and banner, all cities together, kept in memory for pages that look at many days.

A day is read from the store once, and again when the store says that it changed.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from bandit.model import CountRow
from bandit.reports import clamped
from storage.base import Store

ALL_CITIES = ""
MAX_SLOTS = 1_000
"""Slots remembered; those looked at longest ago are forgotten."""
OLD_DAYS_SECONDS = 600
"""How often all days are read again where the store cannot tell what changed."""

Days = dict[int, list[CountRow]]


class DailyCounts:
    """What one process remembers of the counts. For any number of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._slots: dict[tuple[str, str], Days] = {}
        self._stale: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self._cursor = 0
        self._doubted = time.monotonic()
        self._lock = threading.Lock()

    def note_changes(self, live_days: Iterable[int]) -> None:
        """Ask the store what changed. Where it cannot tell, `live_days` may have, in every slot."""
        with self._lock:
            changes = self._store.changes(self._cursor)
            self._cursor = changes.cursor
            if changes.partitions is None:
                self._doubt(set(live_days))
            for tenant, slot, day in changes.partitions or ():
                self._stale[tenant, slot].add(day)

    def rows(
        self, tenant: str, slot: str, first_day: int, last_day: int, *, has_time: Callable[[], bool] = lambda: True
    ) -> list[CountRow] | None:
        """The days first_day..last_day, both included; in each row clicks <= viewed <= served, as in every city.

        Reads the latest day first, as long as there is time. Then what was known before is answered, or None where a
        day is not known at all.
        """
        key, wanted = (tenant, slot), range(first_day, last_day + 1)
        with self._lock:
            days = self._slots.pop(key, {})
            self._slots[key] = days  # the latest comes last
            missing = [day for day in reversed(wanted) if day not in days or day in self._stale[key]]
            for day in missing:
                if has_time():
                    days[day] = without_cities(self._store.counts(*key, day, day))
                    self._stale[key].discard(day)
            if not days.keys() >= set(wanted):
                return None
            self._forget_oldest()
            return [row for day in wanted for row in days[day]]

    def _doubt(self, live_days: set[int]) -> None:
        """Read again: the live days of all slots, and from time to time every day, for what was delivered late."""
        is_time = time.monotonic() - self._doubted >= OLD_DAYS_SECONDS
        self._doubted = time.monotonic() if is_time else self._doubted
        for key, days in self._slots.items():
            self._stale[key].update(days if is_time else live_days)

    def _forget_oldest(self) -> None:
        while len(self._slots) > MAX_SLOTS:
            oldest = next(iter(self._slots))
            del self._slots[oldest]
            self._stale.pop(oldest, None)


def without_cities(rows: Iterable[CountRow]) -> list[CountRow]:
    """All cities in one row, each cut as reports cut it before it is added."""
    sums: defaultdict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        counted, total = clamped(row), sums[row.day, row.policy, row.banner]
        total[0] += counted.served
        total[1] += counted.viewed
        total[2] += counted.clicks
    return [CountRow(day, policy, ALL_CITIES, banner, *total) for (day, policy, banner), total in sums.items()]

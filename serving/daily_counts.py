"""Counts of slots by day, policy and banner, all cities together, kept in memory for pages that look at many days.

A day is read from the store once, and again when the store says that it changed. Where it cannot tell, today, yesterday
and from time to time the last week are read again, and an older day when it is twice as old as when it was read.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from bandit.model import ALL_CITIES, CountRow
from bandit.reports import clamped
from serving.daily_counts_file import DailyCountsFile, SavedCounts, SavedDay
from serving.later import Later
from storage.base import Store, StoreUnavailable

MAX_SLOTS = 1_000
"""Slots remembered; those looked at longest ago are forgotten."""
LIVE_DAYS = 2
"""Today and yesterday."""
WEEK_DAYS, WEEK_SECONDS = 7, 600
"""How often the days of the last week are read again where the store cannot tell what changed."""
SAVE_SECONDS = 60

Key = tuple[str, str]
"""Tenant and slot."""
HasTime = Callable[[float], bool]
"""Whether there are so many seconds left."""


def always(_seconds: float) -> bool:
    """There is time."""
    return True


class _Sum(NamedTuple):
    first_day: int
    last_day: int
    rows: list[CountRow]


class _Slot:
    """What is known of one slot."""

    def __init__(self, days: dict[int, SavedDay]) -> None:
        self.days = days
        self.stale: set[int] = set()
        self._older: _Sum | None = None

    def lacks(self, day: int) -> bool:
        """Whether the day should be read."""
        return day not in self.days or day in self.stale

    def put(self, day: int, value: SavedDay) -> None:
        """What was read."""
        self.days[day] = value
        if self._older is not None and self._older.first_day <= day <= self._older.last_day:
            self._older = None

    def rows(self, first_day: int, last_day: int) -> list[CountRow] | None:
        """Day by day; None where one is not known."""
        found = [self.days.get(day) for day in range(first_day, last_day + 1)]
        if None in found:
            return None
        return [row for day in found if day is not None for row in day.rows]

    def total(self, first_day: int, last_day: int) -> list[CountRow] | None:
        """The days together; the sum of those that are over is kept."""
        live = max(first_day, last_day - LIVE_DAYS + 1)
        rows = self.rows(live, last_day)
        if self._older is None or self._older[:2] != (first_day, live - 1):
            older = self.rows(first_day, live - 1)
            if older is None:
                return None
            self._older = _Sum(first_day, live - 1, _summed(older))
        return None if rows is None else _summed([*self._older.rows, *rows])


class DailyCounts:
    """What one process remembers of the counts. For any number of threads."""

    def __init__(self, store: Store, later: Later, file: DailyCountsFile) -> None:
        self._store = store
        self._later = later
        self._file = file
        self._slots: dict[Key, _Slot] = {}
        self._cursor = 0
        self._store_tells = True
        self._week_read = self._saved = time.monotonic()
        self._read_seconds = 0.0
        """What the last day took."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        """One reads at a time, so that what was read later is not replaced by what was read before."""

    def start(self) -> None:
        """Begin with what a process before this one knew, where asking the store for it takes long."""
        saved = self._file.load()
        with self._lock:
            self._cursor = saved.cursor
            self._slots = {key: _Slot(days) for key, days in saved.slots.items()}

    def stop(self) -> None:
        """Save what is known."""
        self._save()

    def note_changes(self, today: int) -> None:
        """Ask the store what changed."""
        with self._lock:
            changes = self._store.changes(self._cursor)
            counts_anew, self._cursor = changes.cursor != self._cursor, changes.cursor
            self._store_tells = changes.partitions is not None
            if changes.partitions is None:
                self._doubt(today, counts_anew=counts_anew)
            for tenant, slot, day in changes.partitions or ():
                if known := self._slots.get((tenant, slot)):
                    known.stale.add(day)
        self._later.add("save daily counts", self._save_now_and_then)

    def rows(
        self, tenant: str, slot: str, first_day: int, last_day: int, *, has_time: HasTime = always
    ) -> list[CountRow] | None:
        """The days first_day..last_day, both included and the last one today, in order.

        Reads the latest day first, as long as there is time, and leaves the others for later. Then what was known
        before is answered, or None where a day is not known at all.
        """
        return self._brought_up((tenant, slot), first_day, last_day, has_time).rows(first_day, last_day)

    def total(
        self, tenant: str, slot: str, first_day: int, last_day: int, *, has_time: HasTime = always
    ) -> list[CountRow] | None:
        """The same with these days together in one row, whose day says nothing."""
        return self._brought_up((tenant, slot), first_day, last_day, has_time).total(first_day, last_day)

    def _brought_up(self, key: Key, first_day: int, last_day: int, has_time: HasTime) -> _Slot:
        with self._lock:
            known = self._slots.pop(key, None) or _Slot({})
            self._slots[key] = known  # the latest comes last
            self._forget_oldest()
        for day in range(last_day, first_day - 1, -1):
            if known.lacks(day) and not self._read_now(key, known, day, last_day, has_time):
                self._later.add((key, day), partial(self._read_later, key, known, day, last_day))
        return known

    def _read_now(self, key: Key, known: _Slot, day: int, today: int, has_time: HasTime) -> bool:
        """Unless it would take too long, or the background reads at this moment."""
        if not has_time(self._read_seconds) or not self._reading.acquire(blocking=False):
            return False
        try:
            self._read(key, known, day, today)
        finally:
            self._reading.release()
        return True

    def _read_later(self, key: Key, known: _Slot, day: int, today: int) -> None:
        """In the background, where a first reading of everything may take minutes."""
        with self._reading:
            self._read(key, known, day, today)
        self._save_now_and_then()

    def _read(self, key: Key, known: _Slot, day: int, today: int) -> None:
        with self._lock:
            if not known.lacks(day):
                return
            known.stale.discard(day)  # before it is read: what changes meanwhile is noted anew
        started = time.monotonic()
        try:
            rows = _cut(self._store.daily_counts(*key, day, day))
        except StoreUnavailable:
            known.stale.add(day)
            raise
        self._read_seconds = time.monotonic() - started
        with self._lock:
            known.put(day, SavedDay(rows, today))

    def _doubt(self, today: int, *, counts_anew: bool) -> None:
        week_is_due = time.monotonic() - self._week_read >= WEEK_SECONDS
        self._week_read = time.monotonic() if week_is_due else self._week_read
        newest = WEEK_DAYS if week_is_due else LIVE_DAYS
        for slot in self._slots.values():
            for day, (_, read_on) in slot.days.items():
                if counts_anew or today - day < newest or today - day >= 2 * (read_on - day):
                    slot.stale.add(day)

    def _forget_oldest(self) -> None:
        while len(self._slots) > MAX_SLOTS:
            del self._slots[next(iter(self._slots))]

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        """A store that tells what changed answers fast, and the file could be of another store."""
        self._saved = time.monotonic()
        if not self._store_tells:
            with self._lock:
                slots = {key: dict(slot.days) for key, slot in self._slots.items()}
            self._file.save(SavedCounts(self._cursor, slots))


def _cut(rows: Iterable[CountRow]) -> list[CountRow]:
    """A click may be counted a moment before its impression."""
    return [row._replace(**clamped(row)._asdict()) for row in rows]


def _summed(rows: Iterable[CountRow]) -> list[CountRow]:
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        total = sums[row.policy, row.banner]
        total[0] += row.served
        total[1] += row.viewed
        total[2] += row.clicks
    return [CountRow(0, policy, ALL_CITIES, banner, *total) for (policy, banner), total in sums.items()]

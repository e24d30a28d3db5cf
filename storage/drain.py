"""Carries records from the journals of all processes to the sink, each journal in order, and deletes what is done.

A record is done when `deliver` has returned and, if it was refused, the dead letter is on disk; only then does the mark
move. So a drain that is killed delivers some records again, which the sink knows by their journal and sequence.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from storage.base import EventSink, Record, StoreUnavailable
from storage.drain_status import DrainStatus, backlog_bytes, drain_lock, is_alive, status, write_status
from storage.marks import delete_orphans, delete_segment, read_mark, write_mark
from storage.refused import dead_letter_bytes, write_refusals
from storage.segment_files import Segment, find_segments, is_held
from storage.segments import read

__all__ = ["DrainStatus", "backlog_bytes", "drain", "is_alive", "status"]

_log = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 5.0
_STATUS_SECONDS = 1.0

Result = TypeVar("Result")


def drain(
    directory: Path,
    sink: EventSink,
    *,
    stop: threading.Event,
    batch_records: int = 2000,
    idle_seconds: float = 0.02,
    cpu_share: float = 1.0,
    hurry_bytes: int = 0,
    finish_seconds: float = 10.0,
    clock: Callable[[], float] = time.time,
) -> None:
    """Deliver until `stop` is set, then what is there by then, for at most finish_seconds.

    It takes at most cpu_share of a core for as long as less than hurry_bytes wait, so that a rush is served at full
    speed and counted a little later.

    Waits while another drain works on the directory. A sink that is unavailable is tried again, after 0.1 s at first
    and 5 s at last; a segment that cannot be read holds up its own journal only. Any other error of the sink ends the
    drain with nothing lost. `clock` gives seconds since 1970 UTC.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with drain_lock(directory, stop) as is_mine:
        if not is_mine:
            return
        delete_orphans(directory, clock())
        worker = _Drain(directory, sink, stop, batch_records, clock)
        try:
            worker.run(_Pace(idle_seconds, cpu_share, hurry_bytes), finish_seconds)
        finally:
            worker.tell()


class _Pace(NamedTuple):
    """When to deliver again."""

    idle_seconds: float
    cpu_share: float
    hurry_bytes: int

    def rest_seconds(self, worked_seconds: float, backlog_bytes: int, *, is_more: bool) -> float:
        """How long to wait after this much processor time."""
        # Also after a few records: many small transactions would cost the web workers their core.
        rest = 0.0 if is_more else self.idle_seconds
        if backlog_bytes >= self.hurry_bytes:
            return rest
        return max(rest, worked_seconds / self.cpu_share - worked_seconds)


class _Interrupted(Exception):
    """Stopped while the sink was unavailable."""


class _Step(NamedTuple):
    """How far a segment is done with once the batch is delivered."""

    segment: Segment
    offset: int
    lost_bytes: int
    is_finished: bool


@dataclass(slots=True)
class _Batch:
    records: list[Record] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)
    is_cut: bool = False
    """There was more than it could hold."""
    trouble: str = ""


class _Drain:
    """A drain that holds the lock."""

    def __init__(
        self, directory: Path, sink: EventSink, stop: threading.Event, batch_records: int, clock: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._sink = sink
        self._stop = stop
        self._batch_records = batch_records
        self._clock = clock
        self._status = replace(status(directory), trouble="")
        self._told_at = float("-inf")
        self._offsets: dict[Path, int] = {}
        self._undeletable: set[Path] = set()
        self._last_journal = ""

    def run(self, pace: _Pace, finish_seconds: float) -> None:
        with suppress(_Interrupted):
            while not self._stop.is_set():
                started = time.thread_time()
                is_more = self._round()
                worked = time.thread_time() - started
                self._stop.wait(pace.rest_seconds(worked, self._status.backlog_bytes, is_more=is_more))
            deadline = time.monotonic() + finish_seconds
            while time.monotonic() < deadline and self._round():
                pass

    def tell(self) -> None:
        """Write the status. Whoever reads it can do without; the drain does not stop for that."""
        self._told_at = time.monotonic()
        backlog, dead = backlog_bytes(self._directory), dead_letter_bytes(self._directory)
        self._status = replace(self._status, backlog_bytes=backlog, dead_letter_bytes=dead)
        try:
            write_status(self._directory, self._status)
        except OSError as error:
            _log.warning("the drain's status cannot be written: %s", error)

    def _tell_each_second(self) -> None:
        if time.monotonic() - self._told_at >= _STATUS_SECONDS:
            self.tell()

    def _note(self, trouble: str) -> None:
        if trouble == self._status.trouble:
            return
        if trouble:
            _log.warning("%s", trouble)
        self._status = replace(self._status, trouble=trouble)

    def _round(self) -> bool:
        """Deliver one batch; False when it was all there is."""
        batch = self._collect()
        if batch.records:
            self._deliver(batch.records)
        for step in batch.steps:
            self._take(step)
        self._note(batch.trouble)
        self._tell_each_second()
        return batch.is_cut

    # What there is

    def _collect(self) -> _Batch:
        batch = _Batch()
        journals = find_segments(self._directory)
        for journal in self._in_turn(journals):
            self._collect_journal(journals[journal], batch)
            if len(batch.records) == self._batch_records:
                batch.is_cut = True
                self._last_journal = journal
                break
        return batch

    def _in_turn(self, journals: Iterable[str]) -> list[str]:
        """The journal that filled the last batch comes last, so that a busy one cannot starve the others."""
        return sorted(journals, key=lambda journal: (journal <= self._last_journal, journal))

    def _collect_journal(self, segments: list[Segment], batch: _Batch) -> None:
        """Its segments in order, the later ones only when the earlier are finished."""
        for segment in segments:
            if segment.path in self._undeletable:
                continue
            try:
                is_finished = self._collect_segment(segment, segment is segments[-1], batch)
            except OSError as error:
                batch.trouble = f"{segment.path} cannot be read: {error.strerror}"
                return
            if not is_finished:
                return

    def _collect_segment(self, segment: Segment, is_last: bool, batch: _Batch) -> bool:
        # In this order: what a segment holds after its writer has left it is all it will ever hold.
        live = is_last and is_held(segment.path)
        before = self._offset(segment)
        chunk = read(segment.path, before, self._batch_records - len(batch.records), live=live)
        is_finished = chunk.at_end and not live
        batch.records += chunk.records
        batch.is_cut |= not chunk.at_end
        if is_finished or chunk.next_offset != before:
            batch.steps.append(_Step(segment, chunk.next_offset, chunk.lost_bytes, is_finished))
        return is_finished

    def _offset(self, segment: Segment) -> int:
        offset = self._offsets.get(segment.path)
        if offset is None:
            offset = self._offsets[segment.path] = read_mark(segment.path)
        return offset

    # What is done with it

    def _deliver(self, records: list[Record]) -> None:
        refusals = self._persist(lambda: self._sink.deliver(records), StoreUnavailable)
        if refusals:
            _log.error("%d records were refused, the first because: %s", len(refusals), refusals[0].reason)
            self._persist(lambda: write_refusals(self._directory, refusals), OSError)
        before = self._status
        self._status = replace(
            before,
            delivered=before.delivered + len(records),
            dead_letters=before.dead_letters + len(refusals),
            last_delivery_at=self._clock(),
        )

    def _persist(self, act: Callable[[], Result], passing: type[Exception]) -> Result:
        """Try until it works. Once `stop` is set, a failure ends the drain; the next begins with the same records."""
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            try:
                return act()
            except passing as error:
                self._note(f"records cannot be delivered: {error}")
                if self._stop.is_set():
                    raise _Interrupted from error
            self._pause(wait_seconds)
            wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, _STATUS_SECONDS)):
            self._tell_each_second()

    def _take(self, step: _Step) -> None:
        path = step.segment.path
        if step.lost_bytes:
            _log.error("%s: %d damaged bytes were skipped before byte %d", path, step.lost_bytes, step.offset)
            self._status = replace(self._status, lost_bytes=self._status.lost_bytes + step.lost_bytes)
        self._offsets[path] = step.offset
        try:
            self._leave(step)
        except OSError as error:
            _log.error("%s: its mark cannot be moved: %s", path, error)

    def _leave(self, step: _Step) -> None:
        path = step.segment.path
        if not step.is_finished:
            write_mark(path, step.offset)
            return
        try:
            delete_segment(path)
            del self._offsets[path]
        except OSError as error:
            _log.error("%s is delivered and cannot be deleted: %s", path, error)
            self._undeletable.add(path)
            write_mark(path, step.offset)

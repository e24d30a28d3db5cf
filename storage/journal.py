"""The write-ahead log of one process: what is appended here survives its death.

`append` is the hot path: one `os.write` under a lock. What may take its time (forcing data to disk, measuring the
directory, closing full segments, finding out whether a sick disk has recovered) is done by a thread of the journal.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from storage.segment_files import (
    create_locked,
    file_sizes,
    segment_name,
    sync_and_close,
    sync_data,
    sync_directory,
)
from storage.segments import MAX_RECORD_BYTES, frame

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
"""How old the measured size of the directory may be."""

_ROOM_BYTES = 1024
"""Less room than this counts as full, or less than what found none; an event is shorter, several need not be."""

_PROBE = bytes(4096)

Target = TypeVar("Target")
Encode = Callable[[int], bytes]
"""From a sequence to the record with it."""


class JournalRefused(Exception):
    """The record was not recorded."""


class JournalFull(JournalRefused):
    """The directory has reached its size; the drain has to deliver first."""


class JournalUnwritable(JournalRefused):
    """The disk is full, failing or gone."""


class Journal:
    """One process's journal. Threads may share it; a forked child opens its own.

    Sequences count from 1 per shard without gaps: a refused record uses none up. The one exception is what was refused
    after the drain may have read it, so that its sequence is not used again: what was written but could not be synced
    under sync = always, and several records of which a full disk took the first ones.
    """

    def __init__(
        self, directory: Path, *, always: bool, sync_interval_seconds: float, segment_bytes: int, max_bytes: int
    ) -> None:
        self.id = secrets.randbits(63) or 1
        self._directory = directory
        self._always = always
        self._sync_interval_seconds = sync_interval_seconds
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._sequences: dict[int, int] = {}
        self._descriptor = -1
        self._number = 0
        self._written = 0
        self._room = max_bytes
        self._least_room = _ROOM_BYTES
        self._failure: str | None = None
        self._dirty = False
        self._unsynced_name = False
        self._retired: list[int] = []
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="journal", daemon=True)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        sync: str = "interval",
        sync_interval_ms: int = 100,
        segment_bytes: int = 16 << 20,
        max_bytes: int = 1 << 30,
    ) -> "Journal":
        """A new journal with an id of its own in `directory`, which is made if missing.

        `max_bytes` bounds all files of the directory. They are measured every 0.1 s, so several processes may together
        overshoot it by what they write in that time. A directory that cannot be written is no error here: `append` and
        `check` say so for as long as it lasts.
        """
        if sync not in ("interval", "always"):
            raise ValueError(f"sync: must be interval or always, not {sync!r}")
        journal = cls(
            directory,
            always=sync == "always",
            sync_interval_seconds=sync_interval_ms / 1000,
            segment_bytes=segment_bytes,
            max_bytes=max_bytes,
        )
        journal._start()
        return journal

    def append(self, shard: int, encode: Encode) -> None:
        """Record `encode(sequence)`, at most 1 MiB; when this returns, it survives the death of the process.

        With sync = always it survives a power cut too. Raises JournalFull or JournalUnwritable.
        """
        with self._lock:
            sequence = self._sequences.get(shard, 0) + 1
            data = _framed(shard, encode(sequence))
            self._write(data, len(data), {shard: sequence}, {shard: sequence - 1})

    def append_all(self, records: Sequence[tuple[int, Encode]]) -> None:
        """`append` for each (shard, encode), in one write: all of them are recorded, or none is."""
        if not records:
            return
        with self._lock:
            before = {shard: self._sequences.get(shard, 0) for shard, _ in records}
            frames, sequences = [], before.copy()
            for shard, encode in records:
                sequences[shard] = sequence = sequences[shard] + 1
                frames.append(_framed(shard, encode(sequence)))
            self._write(b"".join(frames), len(frames[0]), sequences, before)

    def check(self) -> None:
        """Raise what an append would raise now: JournalFull or JournalUnwritable."""
        failure = self._failure
        if failure is not None:
            raise JournalUnwritable(failure)
        if self._room < self._least_room:
            raise self._full()

    def close(self) -> None:
        """Sync and release the segment; later appends raise JournalUnwritable."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._keeper.join()
        with self._lock:
            self._retire()
        self._sync()
        self._failure = "the journal is closed"

    def _start(self) -> None:
        self._measure()
        with self._lock, suppress(JournalUnwritable):  # `check` says so
            if self._room >= self._least_room:
                self._next_segment()
        self._keeper.start()

    # Called with the lock held

    def _write(self, data: bytes, first_bytes: int, sequences: Mapping[int, int], before: Mapping[int, int]) -> None:
        """Write frames, of which the first has so many bytes. `sequences` are the last ones of the shards in them."""
        size = len(data)
        if size > self._room:
            self._least_room = max(self._least_room, size)
            raise self._full()
        if self._descriptor < 0 or self._written >= self._segment_bytes:
            self._next_segment()
        # Taken before the write: a signal handler that raises in between costs a gap, not a sequence used twice.
        self._sequences.update(sequences)
        written = 0
        try:
            written = os.write(self._descriptor, data)
            if written != size:
                raise OSError(f"only {written} of {size} bytes were written")
        except OSError as error:
            may_be_read = written >= first_bytes
            if not may_be_read:
                self._sequences.update(before)
            raise self._write_failed(error, may_be_read=may_be_read) from error
        self._written += size
        self._room -= size
        if self._always:
            self._sync_written(size)
        else:
            self._dirty = True

    def _next_segment(self) -> None:
        """Leave the segment and open the next. It gets its name when it is locked, since a segment without a lock is a
        dead one, which the drain deletes."""
        if self._closing.is_set():
            raise JournalUnwritable("the journal is closed")
        number = self._number + 1
        path = self._directory / segment_name(self.id, number)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = create_locked(path)
        except OSError as error:
            raise self._unwritable(error) from error
        self._retire()
        self._descriptor, self._number, self._written = descriptor, number, 0
        if self._always:
            self._sync_name()
        else:
            self._unsynced_name = True

    def _retire(self) -> None:
        """Never write to the segment again; the journal's thread syncs and closes it."""
        if self._descriptor >= 0:
            self._retired.append(self._descriptor)
            self._descriptor = -1

    def _write_failed(self, error: OSError, *, may_be_read: bool) -> JournalUnwritable:
        """Take back what a failed write has left. The next append tries another segment, unless this one is fresh."""
        if not self._cut_back() or self._written or may_be_read:
            self._retire()
        return self._unwritable(error)

    def _sync_written(self, size: int) -> None:
        """Force what was just written to disk, or cut it off again.

        The drain may have read it already. So the segment is left, lest another frame begin in the middle of what the
        drain takes for read.
        """
        try:
            sync_data(self._descriptor)
        except OSError as error:
            self._written -= size
            self._cut_back()
            self._retire()
            raise self._unwritable(error) from error

    def _cut_back(self) -> bool:
        try:
            os.ftruncate(self._descriptor, self._written)
        except OSError:
            return False
        return True

    def _sync_name(self) -> None:
        try:
            sync_directory(self._directory)
        except OSError as error:
            self._retire()
            raise self._unwritable(error) from error

    def _full(self) -> JournalFull:
        return JournalFull(f"{self._directory} holds its {self._max_bytes} bytes; the drain has to deliver first")

    def _unwritable(self, error: OSError) -> JournalUnwritable:
        self._failure = f"{self._directory} cannot be written: {error}"
        return JournalUnwritable(self._failure)

    # The journal's thread; it alone closes descriptors, so it may use one without the lock

    def _keep(self) -> None:
        sync_at = 0.0
        while not self._closing.wait(min(_LOOK_SECONDS, self._sync_interval_seconds)):
            if time.monotonic() >= sync_at:
                sync_at = time.monotonic() + self._sync_interval_seconds
                self._sync()
            self._measure()
            if self._failure is not None:
                self._probe()

    def _sync(self) -> None:
        """Force everything to disk, and close what is retired."""
        with self._lock:
            descriptor, retired, self._retired = self._descriptor, self._retired, []
            dirty, self._dirty = self._dirty, False
            unsynced_name, self._unsynced_name = self._unsynced_name, False
        for one in retired:
            self._attempt(sync_and_close, one)
        if dirty and descriptor >= 0:
            self._attempt(sync_data, descriptor)
        if unsynced_name:
            self._attempt(sync_directory, self._directory)

    def _attempt(self, act: Callable[[Target], None], target: Target) -> None:
        try:
            act(target)
        except OSError as error:
            with self._lock:
                _log.error("%s", self._unwritable(error))
                self._retire()

    def _measure(self) -> None:
        with self._lock:
            number, room = self._number, self._room
        try:
            sizes = file_sizes(self._directory)
        except OSError as error:
            self._unwritable(error)
            return
        with self._lock:
            written_since = room - self._room
            self._room = self._max_bytes - sum(sizes.values()) - written_since
            if number == self._number:
                self._leave_useless_segment(is_gone=segment_name(self.id, number) not in sizes)

    def _leave_useless_segment(self, *, is_gone: bool) -> None:
        """What is written to a segment that somebody removed would be lost; and in a full directory the drain can free
        only segments that nobody writes to."""
        if is_gone and self._descriptor >= 0:
            _log.error("%s: the journal's segment was removed; it goes on in another", self._directory)
            self._retire()
        elif self._written and self._room < self._least_room:
            self._retire()

    def _probe(self) -> None:
        """Find out whether the disk takes data again, since readiness must not wait for a request to try it."""
        path = self._directory / f"{self.id:016x}.probe"
        with suppress(OSError):
            try:
                path.write_bytes(_PROBE)
            finally:
                path.unlink(missing_ok=True)
            self._failure = None


def _framed(shard: int, payload: bytes) -> bytes:
    if len(payload) > MAX_RECORD_BYTES:
        raise ValueError(f"a record has at most {MAX_RECORD_BYTES} bytes, not {len(payload)}")
    return frame(shard, payload)

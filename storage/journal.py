"""The write-ahead log of one process: what is appended here survives its death.

`append` is the hot path: one `os.write` under a lock. Everything that may take its time (forcing data to disk, measuring
the directory, closing full segments, finding out whether a sick disk has recovered) is done by a thread of the journal.
"""

import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from storage.segments import CHECKED, HEADER, MAGIC, MAX_RECORD_BYTES, segment_name

_log = logging.getLogger(__name__)
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync

_LOOK_SECONDS = 0.1
"""How old the measured size of the directory may be."""

_ROOM_BYTES = 1024
"""Less room than this counts as full; an event is shorter."""


class JournalRefused(Exception):
    """The record was not recorded."""


class JournalFull(JournalRefused):
    """The directory has reached its size; the drain has to deliver first."""


class JournalUnwritable(JournalRefused):
    """The disk is full, failing or gone."""


class Journal:
    """One process's journal. Threads may share it; a forked child opens its own.

    Sequences count from 1 per shard without gaps, as long as the disk is sound: a refused record uses none up.
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
        self._failure: str | None = None
        self._dirty = False
        self._new_name = False
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

        `max_bytes` bounds all files of the directory. It is measured every 0.1 s, so several processes may together
        overshoot it by what they write in that time. A directory that cannot be written is no error here: `append` and
        `check` say so, until it can.
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

    def append(self, shard: int, encode: Callable[[int], bytes]) -> None:
        """Record `encode(sequence)`, at most 1 MiB; when this returns, it survives the death of the process.

        With sync = always it survives a power cut too. Raises JournalFull or JournalUnwritable; the record is then not
        recorded and its sequence goes to the next. (One exception: a record that was written and could not be synced
        keeps its sequence, since the drain may have read it.)
        """
        with self._lock:
            sequence = self._sequences.get(shard, 0) + 1
            payload = encode(sequence)
            length = len(payload)
            crc = crc32(payload, crc32(CHECKED.pack(length, shard)))
            frame = HEADER.pack(MAGIC, length, crc, shard) + payload
            size = len(frame)
            if size > self._room or length > MAX_RECORD_BYTES:
                raise self._too_long(length)
            if self._descriptor < 0 or self._written >= self._segment_bytes:
                self._next_segment()
            try:
                written = os.write(self._descriptor, frame)
            except OSError as error:
                raise self._write_failed(error) from error
            if written != size:
                raise self._write_failed(OSError(f"only {written} of {size} bytes were written"))
            self._sequences[shard] = sequence
            self._written += size
            self._room -= size
            self._dirty = True
            if self._always:
                self._sync_record(size)

    def check(self) -> None:
        """Raise what an append would raise now: JournalFull or JournalUnwritable."""
        failure = self._failure
        if failure is not None:
            raise JournalUnwritable(failure)
        if self._room < _ROOM_BYTES:
            raise self._full()

    def close(self) -> None:
        """Sync and release the segment; later appends raise JournalUnwritable."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._keeper.join()
        with self._lock:
            self._failure = "the journal is closed"
            self._retire()
        self._sync()

    def _start(self) -> None:
        self._measure()
        with self._lock:
            if self._room >= _ROOM_BYTES:
                try:
                    self._next_segment()
                except JournalUnwritable as refused:
                    _log.error("%s", refused)
        self._keeper.start()

    # Under the lock

    def _next_segment(self) -> None:
        """Close the segment and open the next.

        The file gets its name when it is locked: a segment without a lock is a dead one, which the drain deletes.
        """
        if self._closing.is_set():
            raise JournalUnwritable("the journal is closed")
        number = self._number + 1
        path = self._directory / segment_name(self.id, number)
        nameless = path.with_suffix(".new")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(nameless, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            nameless.rename(path)
        except OSError as error:
            os.close(descriptor)
            raise self._unwritable(error) from error
        self._retire()
        self._descriptor, self._number, self._written, self._new_name = descriptor, number, 0, True
        if self._always:
            self._sync_name()

    def _retire(self) -> None:
        """Never write to the segment again; the thread syncs and closes it."""
        if self._descriptor >= 0:
            self._retired.append(self._descriptor)
            self._descriptor = -1

    def _write_failed(self, error: OSError) -> JournalUnwritable:
        """Take back what a failed write has left. The next append tries another segment, unless this one is fresh."""
        try:
            os.ftruncate(self._descriptor, self._written)
        except OSError:
            self._retire()
        if self._written:
            self._retire()
        return self._unwritable(error)

    def _sync_record(self, size: int) -> None:
        try:
            _sync_data(self._descriptor)
        except OSError as error:
            # The drain may have read the frame, so its bytes must never become another one's: cut it off, which keeps
            # it uncounted if it was not read yet, and leave the segment.
            self._written -= size
            self._retire_truncated()
            raise self._unwritable(error) from error

    def _too_long(self, length: int) -> Exception:
        if length > MAX_RECORD_BYTES:
            return ValueError(f"a record has at most {MAX_RECORD_BYTES} bytes, not {length}")
        return self._full()

    def _full(self) -> JournalFull:
        return JournalFull(f"{self._directory} holds its {self._max_bytes} bytes; the drain has to deliver first")

    def _unwritable(self, error: OSError) -> JournalUnwritable:
        self._failure = f"{self._directory} cannot be written: {error}"
        return JournalUnwritable(self._failure)

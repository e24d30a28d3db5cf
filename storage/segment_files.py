"""Segments as files: names, locks, sizes, and what it takes to get them onto a disk.

A segment is called `<journal id, 16 hex>-<number, 8 digits>.seg`. Its writer holds `flock` on it for as long as it may
write; the kernel releases it however the process ends.
"""

import fcntl
import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"/([0-9a-f]{16})-([0-9]{8})\.seg\Z")


class Segment(NamedTuple):
    """One segment file; they sort by journal, then number."""

    journal: str
    number: int
    path: Path


def segment_name(journal: int, number: int) -> str:
    """The file name of a journal's segment."""
    return f"{journal:016x}-{number:08d}.seg"


def find_segments(directory: Path) -> dict[str, list[Segment]]:
    """The segments of every journal, each journal's in order; other files are ignored, a missing directory is empty."""
    journals: dict[str, list[Segment]] = {}
    for path in sorted(entry.path for entry in _entries(directory)):
        if segment := _segment(path):
            journals.setdefault(segment.journal, []).append(segment)
    return journals


def file_sizes(directory: Path) -> dict[str, int]:
    """Bytes of every file of a directory by name; a missing directory is empty."""
    sizes = {}
    for entry in _entries(directory):
        with suppress(FileNotFoundError):  # deleted meanwhile
            sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
    return sizes


def is_held(path: Path) -> bool:
    """Whether a living process holds the file's lock."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def create_locked(path: Path) -> int:
    """A new file that has its lock before it has its name."""
    nameless = path.with_suffix(".new")
    descriptor = os.open(nameless, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        nameless.rename(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def sync_and_close(descriptor: int) -> None:
    """Force the file's data to disk and close it in any case."""
    try:
        sync_data(descriptor)
    finally:
        os.close(descriptor)


def sync_data(descriptor: int) -> None:
    """Force the file's data to disk."""
    sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
    sync(descriptor)


def sync_directory(directory: Path) -> None:
    """Force the names in the directory to disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=4096)  # the drain asks for the same few again and again
def _segment(path: str) -> Segment | None:
    match = _NAME.search(path)
    return Segment(match[1], int(match[2]), Path(path)) if match else None


def _entries(directory: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []

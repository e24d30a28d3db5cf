"""Dead letters: records that the sink will never take, kept with the reason until somebody decides about them.

Files `<number, 8 digits>.dead` beside the segments, in frames of the same format; a payload is `length of the reason
u16 | reason | payload of the record`. They count towards the size of the journal, so that a flood of them becomes a
full journal, which is noticed, and not a full disk.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from struct import Struct

from storage.base import Record, Refusal
from storage.segment_files import file_sizes, sync_directory
from storage.segments import frame, read_all

_FILE_BYTES = 16 << 20
_MAX_REASON_BYTES = 1000
_REASON_LENGTH = Struct("<H")


def write_refusals(directory: Path, refusals: Iterable[Refusal], *, file_bytes: int = _FILE_BYTES) -> None:
    """Append them and wait until they are on disk; OSError when they are not, and then none is kept."""
    data = b"".join(frame(refusal.record.shard, _payload(refusal)) for refusal in refusals)
    with dead_letters_lock(directory):
        path = _file_to_append(directory, file_bytes)
        with path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                _write_and_sync(file, data)
            except OSError:
                file.truncate(size)
                raise
        sync_directory(directory)


def dead_letter_files(directory: Path) -> list[Path]:
    """All files with dead letters, the oldest first."""
    return sorted(directory.glob("[0-9]*.dead"))


def read_refusals(path: Path) -> Iterator[Refusal]:
    """The dead letters of one file."""
    for record in read_all(path):
        (length,) = _REASON_LENGTH.unpack_from(record.payload)
        start = _REASON_LENGTH.size + length
        reason = record.payload[_REASON_LENGTH.size : start].decode("utf-8", "replace")
        yield Refusal(Record(record.shard, record.payload[start:]), reason)


def dead_letter_bytes(directory: Path) -> int:
    """Bytes of dead letters that wait."""
    return sum(size for name, size in file_sizes(directory).items() if name.endswith(".dead"))


@contextmanager
def dead_letters_lock(directory: Path) -> Iterator[None]:
    """Nobody else writes or replays dead letters meanwhile."""
    with (directory / "dead_letters.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _payload(refusal: Refusal) -> bytes:
    reason = refusal.reason.encode("utf-8", "replace")[:_MAX_REASON_BYTES]
    return _REASON_LENGTH.pack(len(reason)) + reason + refusal.record.payload


def _write_and_sync(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _file_to_append(directory: Path, file_bytes: int) -> Path:
    files = dead_letter_files(directory)
    if files and files[-1].stat().st_size < file_bytes:
        return files[-1]
    number = int(files[-1].stem) + 1 if files else 1
    return directory / f"{number:08d}.dead"

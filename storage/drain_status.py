"""What the drain says about itself, for readiness, metrics and people; and whether it lives."""

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from storage.marks import read_mark
from storage.segment_files import file_sizes, find_segments, is_held

_RETRY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class DrainStatus:
    """Totals go on across restarts; a crash of the drain may lose or repeat what it did in its last second."""

    delivered: int = 0
    """Records the sink has taken or refused."""
    dead_letters: int = 0
    """Records it refused, ever."""
    dead_letter_bytes: int = 0
    """Dead letters that wait now."""
    lost_bytes: int = 0
    """Damaged bytes that were skipped, ever."""
    backlog_bytes: int = 0
    """What waits to be delivered."""
    last_delivery_at: float | None = None
    """Seconds since 1970 UTC."""
    trouble: str = ""
    """What keeps the drain from delivering now; empty when nothing does."""


def status(directory: Path) -> DrainStatus:
    """The last status that a drain of this directory wrote; all zero where none ever did."""
    try:
        written = json.loads(_status_path(directory).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return DrainStatus()
    known = {field.name for field in fields(DrainStatus)}
    return DrainStatus(**{name: value for name, value in written.items() if name in known})


def write_status(directory: Path, value: DrainStatus) -> None:
    """Replace it, in one step; OSError when it cannot be written."""
    path = _status_path(directory)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(value)), "utf-8")
    draft.replace(path)


def backlog_bytes(directory: Path) -> int:
    """Bytes of segments that are not delivered yet."""
    sizes = file_sizes(directory)
    segments = [one for journal in find_segments(directory).values() for one in journal]
    return sum(max(0, sizes.get(one.path.name, 0) - read_mark(one.path)) for one in segments)


def is_alive(directory: Path) -> bool:
    """Whether a drain works on this directory."""
    try:
        return is_held(_lock_path(directory))
    except FileNotFoundError:
        return False


@contextmanager
def drain_lock(directory: Path, stop: threading.Event) -> Iterator[bool]:
    """Be the only drain of this directory, once no other is; False when `stop` is set before that.

    It tries again and again, since `is_alive` holds the lock for a moment, too.
    """
    with _lock_path(directory).open("a") as lock:
        yield _take(lock.fileno(), stop)


def _take(descriptor: int, stop: threading.Event) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if stop.wait(_RETRY_SECONDS):
                return False
        else:
            return True


def _lock_path(directory: Path) -> Path:
    return directory / "drain.lock"


def _status_path(directory: Path) -> Path:
    return directory / "drain.json"

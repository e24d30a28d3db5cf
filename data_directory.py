"""The data directory: what lies where, and how it is made ready and kept to one owner."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class DirectoryInUse(Exception):
    """Another process runs the service on this data directory."""


@dataclass(frozen=True, slots=True)
class Paths:
    """What lies where in the data directory."""

    data: Path

    @property
    def database(self) -> Path:
        """The embedded store."""
        return self.data / "banner.db"

    @property
    def journal(self) -> Path:
        """Segments, marks and dead letters."""
        return self.data / "journal"

    @property
    def snapshot(self) -> Path:
        """What a worker starts from when the store is down."""
        return self.data / "snapshot"

    @property
    def secrets(self) -> Path:
        """Generated keys; 0600."""
        return self.data / "secrets.json"

    @property
    def archive(self) -> Path:
        """Events as Parquet, unless archive.directory names another place."""
        return self.data / "archive"

    @property
    def media(self) -> Path:
        """Uploaded pictures, a directory for each tenant."""
        return self.data / "media"

    @property
    def jobs(self) -> Path:
        """State of seeding jobs."""
        return self.data / "jobs"

    @property
    def metrics(self) -> Path:
        """Counters the workers share."""
        return self.data / "metrics"

    @property
    def demo(self) -> Path:
        """Keys of the demo tenant; 0600."""
        return self.data / "demo.json"

    @property
    def demo_visitors(self) -> Path:
        """Locked by the demo's simulated visitors while they run; beside it what they say."""
        return self.data / "demo_visitors.lock"

    @property
    def running(self) -> Path:
        """Locked by whoever runs the service on this directory."""
        return self.data / "running.lock"

    def make(self) -> None:
        """Create every directory that is missing, readable by their owner alone."""
        for directory in (self.data, self.journal, self.snapshot, self.media, self.jobs, self.metrics):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def obstacle(self) -> str | None:
        """Why nothing can be written here, if nothing can; nothing is made."""
        there = next(path for path in (self.data, *self.data.parents) if os.access(path, os.F_OK))
        if not there.is_dir():
            return f"{there} is not a directory"
        return None if os.access(there, os.W_OK | os.X_OK) else f"{there} may not be written to"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who runs or replaces this directory, or raise DirectoryInUse; it has to exist."""
        with self.running.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DirectoryInUse(f"{self.data} is in use by the service with pid {_owner(self.running)}") from None
            os.truncate(lock.fileno(), 0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def _owner(path: Path) -> str:
    return path.read_text() or "unknown"

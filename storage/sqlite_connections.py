"""SQLite connections: how they are set up, lent out, and how their errors become StoreUnavailable."""

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from storage.base import StoreUnavailable

BUSY_SECONDS = 10.0
"""How long a statement waits for another process's transaction, where nobody waits for the caller."""

SETUP = (
    # The drain deletes a journal segment once deliver has returned, so a commit must survive power loss by itself.
    # In WAL mode synchronous=NORMAL syncs only at checkpoints and may lose the last commits; FULL syncs each one.
    # The drain's large batches pay for it: one sync for some thousand records.
    "PRAGMA synchronous = FULL",
    # A checkpoint writes every changed page once; with 16 MiB of log between two, hot pages are written less often.
    "PRAGMA wal_autocheckpoint = 4096",
    # Gives back the disk of a log that a long read let grow.
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -8192",
    # What is erased (a forgotten customer) is overwritten in the file, where that costs no extra write.
    "PRAGMA secure_delete = FAST",
)


class Connection(sqlite3.Connection):
    """Knows which file it was opened on."""

    file: tuple[int, int] | None = None


class Connections:
    """Lends each caller a connection that nobody else uses meanwhile, and keeps it for the next.

    There are never more than were in use at once, whatever threads come and go. Nothing is opened until it is needed.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._idle: list[Connection] = []
        self._closed = False
        # Of a store that nobody holds any more. Python 3.13 warns where that is left to the connections themselves.
        weakref.finalize(self, _close_all, self._idle).atexit = False
        # A child must not inherit an open file: SQLite's locks belong to the process, its idea of them to the memory
        # that fork copies. Closing before the fork costs one reopening.
        os.register_at_fork(before=partial(_before_fork, weakref.ref(self)))

    @contextmanager
    def outside_transactions(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection in autocommit mode; `create` makes a missing file."""
        try:
            connection = self._pop_in_place() or self._connect(create)
            try:
                yield connection
            except BaseException:
                # Closing rolls back, and an error of the disk may have left the connection useless.
                connection.close()
                raise
            self._give_back(connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite at {self._path}: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the whole store."""
        with self.outside_transactions() as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; when it ends without an error, what was written survives power loss."""
        with self.outside_transactions() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        self._closed = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close what nobody uses now; the next caller opens it again."""
        _close_all(self._idle)

    def _pop_in_place(self) -> Connection | None:
        """An idle connection to the file that is at the path now.

        SQLite goes on with a file that was moved or deleted as if nothing had happened, and what is delivered to it is
        gone once the journal's segment is.
        """
        while (connection := _pop(self._idle)) is not None:
            if connection.file == _file_at(self._path):
                return connection
            connection.close()
        return None

    def _connect(self, create: bool) -> Connection:
        if self._closed:
            raise StoreUnavailable("the store was closed")
        # Without `create` a vanished file is an error, never a new empty store.
        uri = f"{self._path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        file = _file_at(self._path)  # before it is opened: one that changes in between is found out at the next use
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        connection.file = file
        try:
            for statement in SETUP:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)


def _pop(idle: list[Connection]) -> Connection | None:
    # No look before the pop: another thread may take the last one in between. No lock: a fork might copy it held.
    try:
        return idle.pop()
    except IndexError:
        return None


def _close_all(idle: list[Connection]) -> None:
    while (connection := _pop(idle)) is not None:
        connection.close()


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Connected:
    """What the parts of the store have in common."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._connections = Connections(path, busy_seconds)


def _before_fork(connections: weakref.ref[Connections]) -> None:
    alive = connections()
    if alive is not None:
        alive.close_idle()

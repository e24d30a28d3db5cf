"""The embedded store and sink: one SQLite file, shared by the web workers, the drain and the commands."""

from pathlib import Path

from storage.base import EventSink, Store
from storage.sqlite_audit import AuditTable
from storage.sqlite_configuration import ConfigurationTables
from storage.sqlite_counts import CountTables
from storage.sqlite_decisions import DecisionTables
from storage.sqlite_recount import RawEvents
from storage.sqlite_schema import check_version, upgrade
from storage.sqlite_segments import SegmentTables
from storage.sqlite_sink import EventTables
from storage.sqlite_upkeep import Upkeep


class SqliteStore(
    AuditTable,
    ConfigurationTables,
    CountTables,
    DecisionTables,
    EventTables,
    RawEvents,
    SegmentTables,
    Upkeep,
    Store,
    EventSink,
):
    """May be used by any number of threads and processes at once; they take turns in writing.

    Made directly it touches nothing until first used and expects the file to be there; `open` makes or upgrades it.
    A call that has to wait for another's turn for longer than `busy_seconds` raises StoreUnavailable.
    """

    @classmethod
    def open(cls, path: Path) -> "SqliteStore":
        """The store at this path, made or upgraded where needed; its directory must exist.

        Raises SchemaVersionError when a newer release wrote the file, StoreUnavailable when it cannot be used.
        """
        store = cls(path)
        with store._connections.outside_transactions(create=True) as connection:
            upgrade(connection)
        return store

    def check_version(self) -> None:
        """Raise SchemaVersionError when a newer release wrote the file, StoreUnavailable when it cannot be used."""
        with self._connections.outside_transactions() as connection:
            check_version(connection)

    def close(self) -> None:
        self._connections.close()

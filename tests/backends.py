"""The two ways in which an installation keeps and counts, for tests that must pass with both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from storage.base import EventSink, Store
from storage.cassandra import CassandraStore
from storage.cassandra_session import CassandraOptions, CassandraSession
from storage.sqlite import SqliteStore
from tests.services_fixtures import BY_CUSTOMERS_CLOCK, empty
from tests.storage.cassandra_sink import CountingSink


class Backend(Protocol):
    """Where one test's data are."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings with which a command finds the same store."""

    def open(self) -> tuple[Store, EventSink]:
        """An empty store, and what the drain delivers to."""

    def close(self) -> None:
        """After the store was closed."""


class Embedded:
    """One SQLite file that counts what it is given."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "banner.db"
        self.environment = {"BANNER_DATA_DIRECTORY": str(directory)}

    def open(self) -> tuple[Store, EventSink]:
        store = SqliteStore.open(self._path)
        return store, store

    def close(self) -> None:
        """There is nothing else."""


class Distributed:
    """A keyspace, and what consumers do, without the Kafka in between. `session` is of that keyspace, and outlives it:
    connecting takes longer than most tests."""

    def __init__(self, directory: Path, options: CassandraOptions, session: CassandraSession) -> None:
        self._options = options
        self._session = session
        empty(session, BY_CUSTOMERS_CLOCK)
        self.environment = {"BANNER_DATA_DIRECTORY": str(directory), **environment(options)}

    def open(self) -> tuple[Store, EventSink]:
        return _Connected(self._options, self._session), CountingSink(self._session)

    def close(self) -> None:
        """There is nothing else."""


class _Connected(CassandraStore):
    def __init__(self, options: CassandraOptions, session: CassandraSession) -> None:
        super().__init__(options)
        self._own, self._session = self._session, session

    def close(self) -> None:
        self._session = self._own
        super().close()


def environment(options: CassandraOptions) -> dict[str, str]:
    """The settings of the distributed mode over this keyspace."""
    return {
        "BANNER_STORAGE_BACKEND": "cassandra",
        "BANNER_CASSANDRA_HOSTS": ",".join(options.hosts),
        "BANNER_CASSANDRA_PORT": str(options.port),
        "BANNER_CASSANDRA_KEYSPACE": options.keyspace,
        "BANNER_CASSANDRA_DATACENTER": options.datacenter,
        "BANNER_CASSANDRA_REPLICATION": f"{options.datacenter}:1",
        "BANNER_SECRETS_TOKEN_KEYS": f"1:{'6b' * 32}",
        "BANNER_SECRETS_CUSTOMER_KEY": "63" * 32,
    }

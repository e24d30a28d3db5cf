"""From the settings to the store; for entry points."""

from typing import TYPE_CHECKING

from settings import Settings
from storage.base import MissingPackage, Store, StoreUnavailable

if TYPE_CHECKING:
    from storage.cassandra_session import CassandraOptions

INSTALL = "cassandra-driver is missing; run: .venv/bin/python -m pip install -r requirements.txt"
BUSY_SECONDS = 10.0


def open_store(settings: Settings) -> Store:
    """The store, ready for use; an embedded one is made or upgraded where needed.

    Raises SchemaVersionError when a newer release wrote it, StoreUnavailable, MissingPackage.
    """
    if settings.storage.backend == "cassandra":
        store = store_for(settings)
        store.check_version()
        return store
    from storage.sqlite import SqliteStore

    return SqliteStore.open(settings.paths.database)


def store_for(settings: Settings, *, busy_seconds: float = BUSY_SECONDS) -> Store:
    """The store, not touched before it is first used. An embedded one has to be there, and waits so long for its turn
    to write. Raises MissingPackage."""
    if settings.storage.backend == "cassandra":
        options = cassandra_options(settings)
        from storage.cassandra import CassandraStore

        return CassandraStore(options)
    from storage.sqlite import SqliteStore

    return SqliteStore(settings.paths.database, busy_seconds=busy_seconds)


def problem(settings: Settings) -> str | None:
    """Why the store cannot be used now, if it cannot; nothing is made or upgraded. Raises SchemaVersionError,
    MissingPackage."""
    store = store_for(settings)
    try:
        store.check_version()
        store.configuration_version()
    except StoreUnavailable as error:
        return f"{name(settings)} cannot be used: {error}"
    finally:
        store.close()
    return None


def name(settings: Settings) -> str:
    """What people know the store by."""
    given = settings.cassandra
    if settings.storage.backend == "cassandra":
        return f"the store in Cassandra at {given.hosts} port {given.port}, keyspace {given.keyspace},"
    return f"the store at {settings.paths.database}"


def cassandra_options(settings: Settings) -> "CassandraOptions":
    """Where Cassandra is and how to log in. Raises MissingPackage."""
    try:
        from storage.cassandra_session import CassandraOptions
    except ModuleNotFoundError as error:
        raise MissingPackage(INSTALL) from error
    given = settings.cassandra
    return CassandraOptions(
        tuple(host.strip() for host in given.hosts.split(",")),
        given.port,
        given.keyspace,
        given.datacenter,
        given.username,
        given.password,
        given.tls,
        given.tls_ca,
        given.tls_certificate,
        given.tls_key,
    )

"""The tables in Cassandra: made from schema.cql, and brought from an older version to this one."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from storage.base import SchemaVersionError
from storage.cassandra_session import COUNTING, CassandraOptions, CassandraSession, SchemaMissing

SCHEMA_PATH = Path(__file__).parent.parent / "schema.cql"

MIGRATIONS: tuple[Sequence[str], ...] = ()
"""Statements that lead from each released version to the next, the first from version 1; schema.cql is the newest. A
released entry is never edited, and each statement must be one that may be repeated (IF NOT EXISTS)."""
VERSION = 1 + len(MIGRATIONS)

READ_VERSION = "SELECT version FROM schema_version WHERE scope = 'all'"
WRITE_VERSION = "INSERT INTO schema_version (scope, version) VALUES ('all', ?)"


def statements() -> list[str]:
    """Those of schema.cql, without comments."""
    text = re.sub(r"--[^\n]*", "", SCHEMA_PATH.read_text("utf-8"))
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def apply(options: CassandraOptions, replication: Mapping[str, int]) -> bool:
    """Make the keyspace and its tables, or bring them to this version; whether there was anything to do.

    `replication` is data centre -> copies, for a keyspace that is not there yet. Safe to repeat, also after an
    interruption. Raises SchemaVersionError, StoreUnavailable.
    """
    _make_keyspace(options, replication)
    session = CassandraSession(options)
    try:
        known = version(session)
        if known == VERSION:
            return False
        if known is not None:
            _migrate(session, known)
        for statement in statements():
            if not statement.startswith(("CREATE KEYSPACE", "USE ")):
                session.define(statement)
        session.run(WRITE_VERSION, (VERSION,), COUNTING)
        return True
    finally:
        session.close()


def version(session: CassandraSession) -> int | None:
    """Of the tables that are there; None where there are none. Raises SchemaVersionError, StoreUnavailable."""
    try:
        rows = session.run(READ_VERSION, (), COUNTING)
    except SchemaMissing:
        return None
    known = int(rows[0][0]) if rows else None
    if known is not None and known > VERSION:
        raise SchemaVersionError(
            f"the keyspace has schema version {known}, this software knows up to {VERSION}: start the newer release"
        )
    return known


def _make_keyspace(options: CassandraOptions, replication: Mapping[str, int]) -> None:
    copies = "".join(f", '{datacenter}': {number}" for datacenter, number in replication.items())
    session = CassandraSession(options, keyspace="")
    try:
        session.define(
            f"CREATE KEYSPACE IF NOT EXISTS {options.keyspace} "
            f"WITH replication = {{'class': 'NetworkTopologyStrategy'{copies}}}"
        )
    finally:
        session.close()


def _migrate(session: CassandraSession, known: int) -> None:
    for step in MIGRATIONS[known - 1 :]:
        for statement in step:
            session.define(statement)

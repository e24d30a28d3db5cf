"""The SQLite tables, and how an older file becomes one of this version."""

import sqlite3
from collections.abc import Sequence

from storage.base import SchemaVersionError

VERSION_1 = (
    # Only one row a name; configuration_version grows with every change of configuration or seeds.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('configuration_version', 1)",
    # Claims of impressions served before it (microseconds since 1970) may be gone.
    "INSERT INTO meta VALUES ('claims_before', 0)",
    # Configuration: the key in columns, the rest a JSON document (see storage.documents).
    "CREATE TABLE tenants (tenant TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE api_keys (key_id TEXT PRIMARY KEY, tenant TEXT, document TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE slots (tenant TEXT NOT NULL, slot TEXT NOT NULL, document TEXT NOT NULL,
        PRIMARY KEY (tenant, slot)) WITHOUT ROWID""",
    # `created` keeps banners in order of creation, also when they are replaced.
    """CREATE TABLE banners (created INTEGER PRIMARY KEY, tenant TEXT NOT NULL, slot TEXT NOT NULL,
        banner TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (tenant, slot, banner))""",
    # Ids of what was deleted. Its counts stay, so nothing else may be called so.
    "CREATE TABLE retired_tenants (tenant TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE retired_slots (tenant TEXT NOT NULL, slot TEXT NOT NULL,
        PRIMARY KEY (tenant, slot)) WITHOUT ROWID""",
    """CREATE TABLE retired_banners (tenant TEXT NOT NULL, slot TEXT NOT NULL, banner TEXT NOT NULL,
        PRIMARY KEY (tenant, slot, banner)) WITHOUT ROWID""",
    """CREATE TABLE seeds (tenant TEXT NOT NULL, slot TEXT NOT NULL, seed_id TEXT NOT NULL, city TEXT NOT NULL,
        banner TEXT NOT NULL, trials REAL NOT NULL, clicks REAL NOT NULL,
        PRIMARY KEY (tenant, slot, seed_id, city, banner)) WITHOUT ROWID""",
    # Cumulative counts. There is one epoch (0): this store is never recounted beside itself.
    """CREATE TABLE counts (tenant TEXT NOT NULL, slot TEXT NOT NULL, day INTEGER NOT NULL, epoch INTEGER NOT NULL,
        policy TEXT NOT NULL, city TEXT NOT NULL, banner TEXT NOT NULL, shard INTEGER NOT NULL,
        served INTEGER NOT NULL, viewed INTEGER NOT NULL, clicks INTEGER NOT NULL,
        PRIMARY KEY (tenant, slot, day, epoch, policy, city, banner, shard)) WITHOUT ROWID""",
    """CREATE TABLE counts_by_referrer (tenant TEXT NOT NULL, slot TEXT NOT NULL, day INTEGER NOT NULL,
        epoch INTEGER NOT NULL, referrer TEXT NOT NULL, banner TEXT NOT NULL, shard INTEGER NOT NULL,
        served INTEGER NOT NULL, viewed INTEGER NOT NULL, clicks INTEGER NOT NULL,
        PRIMARY KEY (tenant, slot, day, epoch, referrer, banner, shard)) WITHOUT ROWID""",
    # Every partition of counts with the revision that touched it last; a revision is one delivery.
    """CREATE TABLE changed (tenant TEXT NOT NULL, slot TEXT NOT NULL, day INTEGER NOT NULL,
        revision INTEGER NOT NULL, PRIMARY KEY (tenant, slot, day)) WITHOUT ROWID""",
    "CREATE INDEX changed_by_revision ON changed (revision)",
    # Who counted the view (kind 1) and the click (kind 2) of an impression. Ids begin with the time, so rows are
    # appended at the end of the tree and pruned at its start.
    """CREATE TABLE claims (impression_id BLOB NOT NULL, kind INTEGER NOT NULL,
        PRIMARY KEY (impression_id, kind)) WITHOUT ROWID""",
    """CREATE TABLE clicks (impression_id BLOB PRIMARY KEY, tenant TEXT NOT NULL, city TEXT NOT NULL,
        day INTEGER NOT NULL, received_at INTEGER NOT NULL, served_at INTEGER NOT NULL, slot TEXT NOT NULL,
        banner TEXT NOT NULL, customer BLOB, referrer TEXT) WITHOUT ROWID""",
    "CREATE INDEX clicks_by_city ON clicks (tenant, city, day, received_at)",
    # Raw events. Tenant and customer stand beside the payload only so that forgetting a customer need not decode all.
    """CREATE TABLE events (id INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, tenant TEXT NOT NULL,
        customer BLOB, payload BLOB NOT NULL)""",
    "CREATE INDEX events_by_time ON events (received_at)",
    # What was taken of each journal: every sequence up to `sequence`, but for those in gaps.
    """CREATE TABLE positions (journal INTEGER NOT NULL, shard INTEGER NOT NULL, sequence INTEGER NOT NULL,
        PRIMARY KEY (journal, shard)) WITHOUT ROWID""",
    """CREATE TABLE gaps (journal INTEGER NOT NULL, shard INTEGER NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, PRIMARY KEY (journal, shard, first)) WITHOUT ROWID""",
    """CREATE TABLE referrers (tenant TEXT NOT NULL, referrer TEXT NOT NULL,
        PRIMARY KEY (tenant, referrer)) WITHOUT ROWID""",
    """CREATE TABLE unrecognised_cities (tenant TEXT NOT NULL, name TEXT NOT NULL, impressions INTEGER NOT NULL,
        PRIMARY KEY (tenant, name)) WITHOUT ROWID""",
)

VERSION_2 = (
    # What was drawn where the same banners competed; `largest` is the largest 1 / propensity.
    """CREATE TABLE sampled (tenant TEXT NOT NULL, slot TEXT NOT NULL, day INTEGER NOT NULL, eligible TEXT NOT NULL,
        banner TEXT NOT NULL, decisions INTEGER NOT NULL, inverse REAL NOT NULL, squares REAL NOT NULL,
        largest REAL NOT NULL, PRIMARY KEY (tenant, slot, day, eligible, banner)) WITHOUT ROWID""",
    # What would have been drawn in shadow.
    """CREATE TABLE would_be (tenant TEXT NOT NULL, slot TEXT NOT NULL, day INTEGER NOT NULL, city TEXT NOT NULL,
        banner TEXT NOT NULL, decisions INTEGER NOT NULL,
        PRIMARY KEY (tenant, slot, day, city, banner)) WITHOUT ROWID""",
)

VERSION_3 = (
    # The audit log; tenant '' is that of the operators.
    """CREATE TABLE recorded_changes (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, changed_at INTEGER NOT NULL,
        key TEXT NOT NULL, role TEXT NOT NULL, key_name TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
        detail TEXT NOT NULL)""",
    "CREATE INDEX recorded_changes_by_time ON recorded_changes (tenant, changed_at)",
)

VERSION_4 = (
    # The highest id of an event that was ever pruned: ids are not used again, since the archive goes on from one.
    "INSERT INTO meta VALUES ('pruned_event', 0)",
    # Groups of customers that a clustering found, and what was counted of each: written beside those of the run
    # before, and read once the run is the tenant's.
    "CREATE TABLE segmentations (tenant TEXT PRIMARY KEY, run INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE customer_segments (tenant TEXT NOT NULL, run INTEGER NOT NULL, customer BLOB NOT NULL,
        segment TEXT NOT NULL, PRIMARY KEY (tenant, run, customer)) WITHOUT ROWID""",
    """CREATE TABLE segment_counts (tenant TEXT NOT NULL, run INTEGER NOT NULL, slot TEXT NOT NULL,
        day INTEGER NOT NULL, segment TEXT NOT NULL, banner TEXT NOT NULL, served INTEGER NOT NULL,
        viewed INTEGER NOT NULL,
        clicks INTEGER NOT NULL, PRIMARY KEY (tenant, run, slot, day, segment, banner)) WITHOUT ROWID""",
)

VERSION_5 = (
    # The counts of all cities and shards together, for whoever looks at many days.
    """CREATE TABLE daily_counts (tenant TEXT NOT NULL, slot TEXT NOT NULL, day INTEGER NOT NULL, policy TEXT NOT NULL,
        banner TEXT NOT NULL, served INTEGER NOT NULL, viewed INTEGER NOT NULL, clicks INTEGER NOT NULL,
        PRIMARY KEY (tenant, slot, day, policy, banner)) WITHOUT ROWID""",
    """INSERT INTO daily_counts SELECT tenant, slot, day, policy, banner, sum(served), sum(viewed), sum(clicks)
        FROM counts GROUP BY tenant, slot, day, policy, banner""",
)

MIGRATIONS: tuple[Sequence[str], ...] = (VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5)
"""Statements that lead from each version to the next; a released entry is never edited, a change is a new entry."""


def upgrade(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the tables to the newest version, each step whole or not at all.

    Raises SchemaVersionError when the file is ahead of this software, and sqlite3.Error.
    """
    _version(connection, len(migrations))
    _use_write_ahead_log(connection)
    while _upgrade_once(connection, migrations):
        pass


def check_version(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Raise SchemaVersionError when the file is ahead of this software; nothing is changed."""
    _version(connection, len(migrations))


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Readers and the one writer then never wait for each other. The file remembers it."""
    connection.execute("PRAGMA journal_mode = WAL")


def _upgrade_once(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> bool:
    """Take one step; False when there is none to take."""
    if _version(connection, len(migrations)) == len(migrations):
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: several processes may start at once on an empty directory.
        version = _version(connection, len(migrations))
        for statement in migrations[version] if version < len(migrations) else ():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {min(version + 1, len(migrations))}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return True


def _version(connection: sqlite3.Connection, known: int) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > known:
        raise SchemaVersionError(
            f"the store has schema version {version}, this software knows up to {known}: "
            "start the newer release, or restore a backup made before the upgrade"
        )
    return int(version)

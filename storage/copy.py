"""Copies tenants from the embedded store into Cassandra: `python -m storage.copy TENANT ... | --all`.

For the move to the distributed mode, run with the settings of that mode: storage.backend = cassandra. It takes their
configuration, keys, seeds, counts and clicks, and what is needed so that a view or click repeated after the move counts
once all the same. The service must be stopped and its journal delivered. The file is only read. Stopped half-way, the
same command does it again. What stays behind: operator keys (`python -m commands.operator_key` makes new
ones), the audit log, and segments (`python -m spark_jobs.segments`).

Exit codes: 0 done, 1 not (all) done, 2 wrong arguments or settings.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_directory import DirectoryInUse
from settings import Settings, SettingsError, load
from storage.base import Conflict, MissingPackage, SchemaVersionError, Store, StoreUnavailable
from storage.drain_status import backlog_bytes
from storage.opening import cassandra_options
from storage.retention import CLAIM_DAYS, DAY_US
from storage.sqlite import SqliteStore
from storage.sqlite_export import SqliteExport


class CannotCopy(Exception):
    """Something has to be done before; the message says what."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage.copy", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tenants", nargs="*", metavar="TENANT", help="ids of tenants")
    parser.add_argument("--all", action="store_true", help="all tenants of the file")
    given = parser.parse_args(arguments)
    if bool(given.tenants) == given.all:
        parser.error("name tenants, or --all")
    try:
        copy(load(environ), given.tenants)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (CannotCopy, DirectoryInUse, StoreUnavailable, SchemaVersionError, MissingPackage, OSError) as error:
        print(f"not (all) copied: {error}", file=sys.stderr)
        return 1
    return 0


def copy(settings: Settings, tenants: Sequence[str]) -> None:
    """Copy these tenants, or all where none is named.

    Raises CannotCopy, DirectoryInUse, StoreUnavailable, SchemaVersionError, MissingPackage, OSError.
    """
    _check_settings(settings)
    with settings.paths.alone():
        if backlog_bytes(settings.paths.journal):
            raise CannotCopy(
                f"{settings.paths.journal} holds events that are not counted yet; let `python app.py drain` deliver "
                "them with storage.backend = sqlite: stopped with SIGTERM, it delivers what is there and ends"
            )
        source = SqliteStore(settings.paths.database)
        try:
            _copy(settings, source, tenants)
        finally:
            source.close()


def _check_settings(settings: Settings) -> None:
    if settings.storage.backend != "cassandra":
        raise CannotCopy("storage.backend must be cassandra: the settings are those of where to copy to")
    if not settings.paths.database.exists():
        raise CannotCopy(f"there is no {settings.paths.database} to copy from; data.directory says where it is")
    if settings.paths.secrets.exists():
        _check_secrets(settings, settings.paths.secrets)


def _check_secrets(settings: Settings, path: Path) -> None:
    """With other keys the tokens of yesterday are not ours, and every customer is a new one."""
    kept = json.loads(path.read_text())
    pairs = [f"{number}:{key}" for number, key in kept["token_keys"].items()]
    given = settings.secrets.token_keys.replace(" ", "").split(",")
    if kept["customer_key"] != settings.secrets.customer_key or not set(pairs) <= set(given):
        raise CannotCopy(
            f"secrets.token_keys and secrets.customer_key must have the keys of {path}, or clicks on what was served "
            "before the move are refused"
        )


def _copy(settings: Settings, source: SqliteStore, tenants: Sequence[str]) -> None:
    options = cassandra_options(settings)
    from storage.cassandra import CassandraStore
    from storage.cassandra_epochs import active_epoch
    from storage.cassandra_import import CassandraImport
    from storage.cassandra_session import COUNTING, CassandraSession
    from storage.tenant_copy import NotCopied, copy_claims, copy_tenant

    target, session = CassandraStore(options, reading=COUNTING), CassandraSession(options)
    try:
        target.check_version()
        epoch = active_epoch(session)
        if epoch is None:
            raise CannotCopy("no epoch is published; `python -m kafka_ingest.epochs create` and `publish` make one")
        chosen = _chosen(source, target, tenants)
        now_us = time.time_ns() // 1000
        export = SqliteExport(settings.paths.database)
        claims = CassandraImport(session, epoch.number, "", now_us)
        copy_claims(export, claims, now_us - CLAIM_DAYS * DAY_US, print)
        for tenant in chosen:
            copy_tenant(tenant, source, export, target, CassandraImport(session, epoch.number, tenant, now_us), print)
            print(f"{tenant} is copied: all of it was read back and is the same")
    except (NotCopied, Conflict) as error:
        raise CannotCopy(str(error)) from error
    finally:
        target.close()
        session.close()


def _chosen(source: Store, target: Store, tenants: Sequence[str]) -> list[str]:
    """Those to copy. Raises CannotCopy where one is unknown here or known there."""
    here, there = source.configuration().tenants, target.configuration().tenants
    chosen = list(tenants) or sorted(here)
    unknown, taken = [one for one in chosen if one not in here], [one for one in chosen if one in there]
    if unknown:
        raise CannotCopy(f"there is no tenant {', '.join(unknown)}; there are: {', '.join(sorted(here)) or 'none'}")
    if taken:
        raise CannotCopy(f"{', '.join(taken)}: in Cassandra already, where it may have changed since; name the others")
    return chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

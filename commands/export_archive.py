"""Copy the events of the embedded store into the archive, which keeps them after the store has forgotten them.

    python -m commands.export_archive

Adds what came since the last time; run it every night, at least every storage.retention_days. May be killed and run
again: every event is there once. The Spark jobs and any tool that reads Parquet work on the archive.

Exit codes: 0 done, 1 not done, 2 wrong arguments, settings or archive, or a store of a newer release.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence

from settings import Settings, SettingsError, load
from storage.archive import ArchiveDirectory, ArchiveError
from storage.archive_export import Say, export
from storage.base import MissingPackage, SchemaVersionError, StoreUnavailable
from storage.sqlite import SqliteStore


def export_from(settings: Settings, say: Say) -> int:
    """The archive and the store of the settings. Raises ArchiveError, MissingPackage, StoreUnavailable,
    SchemaVersionError, OSError."""
    if settings.storage.backend != "sqlite":
        raise ArchiveError("this is for storage.backend = sqlite; `python -m spark_jobs.archive` reads from Kafka")
    store = SqliteStore.open(settings.paths.database)
    try:
        return export(store, ArchiveDirectory(settings.archive_directory), time.time_ns() // 1000, say)
    finally:
        store.close()


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code; see above."""
    parser = argparse.ArgumentParser(prog="python -m commands.export_archive", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    try:
        settings = load(environ)
        exported = export_from(settings, print)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except MissingPackage as error:
        print(error, file=sys.stderr)
        return 1
    except (ArchiveError, SchemaVersionError) as error:
        print(f"not archived: {error}", file=sys.stderr)
        return 2
    except (StoreUnavailable, OSError) as error:
        print(f"not archived: {error}", file=sys.stderr)
        return 1
    print(f"{exported:,} new events are in {settings.archive_directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

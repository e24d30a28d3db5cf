"""Makes or upgrades the tables in Cassandra: `python -m storage.cassandra_schema`.

Exit codes: 0 done or nothing to do, 1 not done, 2 wrong arguments or settings.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from settings import Settings, SettingsError, load
from storage.base import MissingPackage, SchemaVersionError, StoreUnavailable
from storage.opening import cassandra_options


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m storage.cassandra_schema",
        description="Makes the keyspace and the tables that [cassandra] in config.ini names, or brings them to this "
        "release. It may be repeated at any time, and while the service runs.",
        epilog="Exit codes: 0 done or nothing to do, 1 not done, 2 wrong arguments or settings.",
    )
    parser.parse_args(arguments)
    try:
        settings = load(environ)
        print(f"making or upgrading {settings.cassandra.keyspace} (takes seconds) ...", flush=True)
        has_changed = make_tables(settings)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (StoreUnavailable, SchemaVersionError, MissingPackage) as error:
        print(f"the tables cannot be made: {error}", file=sys.stderr)
        return 1
    print(f"{settings.cassandra.keyspace} has the tables of this release" + (" now" if has_changed else " already"))
    return 0


def make_tables(settings: Settings) -> bool:
    """Whether there was anything to do. Raises StoreUnavailable, SchemaVersionError, MissingPackage."""
    options = cassandra_options(settings)
    from storage.cassandra_tables import apply

    return apply(options, settings.cassandra.copies())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

"""Make an operator key and print it: the first one of an installation, or a new one when all are lost.

    python -m commands.operator_key [--name NAME]

The key is shown this once; only its hash is kept. `DELETE /admin/keys/<id>` removes it.

Exit codes: 0 done, 1 the store cannot be used, 2 the settings are wrong.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bandit.model import Role
from serving.keys import new_key
from settings import SettingsError, load
from storage.base import MissingPackage, SchemaVersionError, Store, StoreUnavailable
from storage.opening import open_store

CANNOT_DO = 1
SETTINGS_ARE_WRONG = 2


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m commands.operator_key", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--name", default="", help="what the list of keys calls it")
    options = parser.parse_args(arguments)
    try:
        settings = load(environ)
        settings.paths.make()
        store = open_store(settings)
        print(make(store, options.name, datetime.now(UTC)))
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return SETTINGS_ARE_WRONG
    except (StoreUnavailable, SchemaVersionError, MissingPackage, OSError) as error:
        print(f"the key cannot be made: {error}", file=sys.stderr)
        return CANNOT_DO
    store.close()
    return 0


def make(store: Store, name: str, now: datetime) -> str:
    """The text of a new operator key, whose hash is in the store now."""
    key, text = new_key(None, Role.OPERATOR, now, name)
    store.put_key(key)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

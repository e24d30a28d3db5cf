"""Remove what is stored of one customer; counts, which name nobody, stay.

    python -m commands.forget_customer --tenant T --customer ID

Clicks and events keep only a keyed hash of a customer. It is removed from the store. Segments of the journal hold it
until they are full or their worker ends, and backups hold what they were made of.

Exit codes: 0 done, 1 something may be left, 2 the settings are wrong.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.keyring import Keyring, customer_digest
from serving.secret_file import SecretFileError, keyring, load_or_create
from settings import Settings, SettingsError, load
from storage.base import StoreUnavailable
from storage.drain import backlog_bytes, is_alive
from storage.sqlite import SqliteStore

STORED_BYTES = 8
"""Of the digest; the rest only places the customer in or out of the holdout and is never stored."""
WAIT_SECONDS = 15.0


class CannotForget(Exception):
    """It could not be done, or not completely; the message says what to do."""


def forget(settings: Settings, tenant: str, customer_id: str, say: Callable[[str], object]) -> None:
    """Raises CannotForget, StoreUnavailable or SecretFileError."""
    customer = customer_digest(_keys(settings).customer_key, tenant, customer_id)[:STORED_BYTES]
    store = SqliteStore(settings.paths.database)
    try:
        if tenant not in store.configuration().tenants:
            say(f"there is no tenant {tenant} (any more); looking for what it left")
        delivered = _wait_for_delivery(settings.paths.journal)
        say(f"{store.forget_customer(tenant, customer)} rows no longer name this customer")
    finally:
        store.close()
    if not delivered:
        raise CannotForget(
            "the journal still holds events that are not delivered, maybe some of this customer. Start the service, or "
            "`python app.py drain`, and run this again"
        )


def _keys(settings: Settings) -> Keyring:
    given = keyring(settings.secrets.token_keys, settings.secrets.customer_key)
    if given is None and not settings.paths.secrets.exists():
        raise CannotForget(f"there is no {settings.paths.secrets}: without its key nobody can tell whose a hash is")
    return given or load_or_create(settings.paths.secrets)


def _wait_for_delivery(journal: Path) -> bool:
    """Whether the journal was empty at a moment from now on; waits while a drain is at work."""
    deadline = time.monotonic() + WAIT_SECONDS
    while backlog_bytes(journal):
        if not is_alive(journal) or time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def main(arguments: Sequence[str]) -> int:
    """The exit code; see above."""
    parser = argparse.ArgumentParser(prog="python -m commands.forget_customer", description=__doc__.splitlines()[0])
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--customer", required=True, help="as it was given as customer_id")
    given = parser.parse_args(arguments)
    try:
        forget(load(os.environ), given.tenant, given.customer, print)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (CannotForget, StoreUnavailable, SecretFileError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

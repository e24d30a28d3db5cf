"""Remove what is stored of one customer; counts, which name nobody, stay.

    python -m commands.forget_customer --tenant T --customer ID

Clicks and events keep only a keyed hash of a customer. It is removed from the store and from the archive. Segments of
the journal hold it until they are full or their worker ends, and backups hold what they were made of. Dead letters are
left as they are; while any may name the customer, this says so and ends with 1. So it does while events wait to be
counted: run it again then. In the distributed mode Kafka's topics, that of dead letters too, hold events until their
retention ends. Messages in _undecodable of the archive are left as they are; where there are any, this says so.

Exit codes: 0 done, 1 something may be left, 2 the settings are wrong.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bandit.event import UndecodableEvent, decode
from serving.keyring import Keyring, customer_digest
from serving.secret_file import SecretFileError, keyring, load_or_create
from serving.token import CUSTOMER_BYTES
from settings import Settings, SettingsError, load
from storage.archive import ArchiveDirectory, ArchiveError
from storage.archive_tidying import alone, forget_customer
from storage.base import MissingPackage, Refusal, StoreUnavailable
from storage.drain_status import backlog_bytes, is_alive
from storage.opening import store_for
from storage.refused import dead_letter_files, dead_letters_lock, read_refusals

WAIT_SECONDS = 15.0


class CannotForget(Exception):
    """It could not be done, or not completely; the message says what to do."""


def forget(settings: Settings, tenant: str, customer_id: str, say: Callable[[str], object]) -> None:
    """Raises CannotForget, StoreUnavailable, SecretFileError or OSError."""
    customer = customer_digest(_keys(settings).customer_key, tenant, customer_id)[:CUSTOMER_BYTES]
    store = store_for(settings)
    try:
        if tenant not in store.configuration().tenants:
            say(f"there is no tenant {tenant} (any more); looking for what it left")
        delivered = _wait_for_delivery(settings.paths.journal)
        is_distributed = settings.storage.backend == "cassandra"
        uncounted = _uncounted(settings) if is_distributed else ""
        say(f"{store.forget_customer(tenant, customer)} rows no longer name this customer")
    finally:
        store.close()
    if is_distributed:
        say(
            f"events in Kafka name the customer until the topics {settings.kafka.topic} and "
            f"{settings.kafka.dead_letter_topic} let them go; where they are archived, run this again afterwards"
        )
    _forget_in_archive(ArchiveDirectory(settings.archive_directory), tenant, customer, say)
    if not delivered:
        raise CannotForget(
            "the journal still holds events that are not delivered, maybe some of this customer. Start the service, or "
            "`python app.py drain`, and run this again"
        )
    if uncounted:
        raise CannotForget(f"{uncounted}. Run this again when the consumers have counted all that is in Kafka")
    _check_dead_letters(settings.paths.journal, tenant, customer)


def _uncounted(settings: Settings) -> str:
    """Why clicks of this customer may still be counted, if so. Raises MissingPackage."""
    from kafka_ingest.opening import cassandra_session, options

    kafka, session = options(settings), cassandra_session(settings)
    from kafka_ingest.epoch_topic import CannotCount
    from kafka_ingest.lag import uncounted

    try:
        behind = uncounted(session, kafka, WAIT_SECONDS)
    except (CannotCount, StoreUnavailable) as error:
        return f"whether clicks of this customer wait in Kafka to be counted cannot be said: {error}"
    finally:
        session.close()
    shards = ", ".join(map(str, behind))
    return f"{sum(behind.values()):,} events are in Kafka and not counted yet, in shards {shards}" if behind else ""


def _forget_in_archive(archive: ArchiveDirectory, tenant: str, customer: bytes, say: Callable[[str], object]) -> None:
    if not archive.path.exists():
        return
    archive.manifest()
    with alone(archive):
        say(f"{forget_customer(archive, tenant, customer)} archived events no longer name this customer")
    if any(archive.undecodable.glob("*.parquet")):
        say(
            f"{archive.undecodable} holds messages nobody could read, maybe of this customer; delete what is not needed"
        )


def _check_dead_letters(journal: Path, tenant: str, customer: bytes) -> None:
    """Called last, since a delivery may have added some."""
    if not dead_letter_files(journal):
        return
    with dead_letters_lock(journal):
        refusals = (one for path in dead_letter_files(journal) for one in read_refusals(path))
        left = sum(_may_name(refusal, tenant, customer) for refusal in refusals)
    if left:
        raise CannotForget(
            f"{left} dead letters in {journal} name this customer or cannot be read. Replay them (python -m "
            "storage.dead_letters replay) or delete the .dead files that hold them, and run this again"
        )


def _may_name(refusal: Refusal, tenant: str, customer: bytes) -> bool:
    try:
        event = decode(refusal.record.payload)
    except UndecodableEvent:
        return True
    return (event.tenant, event.customer) == (tenant, customer)


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
    parser = argparse.ArgumentParser(prog="python -m commands.forget_customer", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--customer", required=True, help="as it was given as customer_id")
    given = parser.parse_args(arguments)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it would print what the last line says too
    try:
        forget(load(os.environ), given.tenant, given.customer, print)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (CannotForget, ArchiveError, StoreUnavailable, MissingPackage, SecretFileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

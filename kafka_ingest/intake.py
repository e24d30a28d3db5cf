"""Take in views and clicks that others received: `python -m kafka_ingest.intake`.

Messages of the intake topic are `{kind, token, time}`. Each is judged as of the time it was received, which the message
names (else Kafka's own timestamp), and journaled like one that came over HTTP. The drain of the same data directory
delivers it, so run this beside the service or `app.py drain`. What cannot be taken goes to the dead-letter topic.
Messages may be read more than once, also by several of these processes: a view or click counts once all the same.

Exit codes: 0 told to end, 1 cannot go on, 2 wrong arguments or settings.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress

from bandit.model import Configuration
from kafka_ingest.intake_events import Intake
from kafka_ingest.intake_message import IntakeDecoder
from kafka_ingest.opening import dead_letter_topic, options, schemas
from processes import lifeline, log
from serving.secret_file import SecretFileError, keyring, load_or_create
from serving.verdict import Judge
from settings import Settings, SettingsError, load
from storage.base import MissingPackage, Store, StoreUnavailable
from storage.journal import Journal
from storage.opening import store_for

_log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.intake", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    if lifeline.PARENT_VARIABLE in environ:
        lifeline.die_with(int(environ[lifeline.PARENT_VARIABLE]))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load(environ)
        log.configure(settings.log.level, settings.log.time_zone)
        run(settings, stop)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (MissingPackage, SecretFileError, OSError) as error:
        print(f"the intake cannot go on: {error}", file=sys.stderr)
        return 1
    return 0


def run(settings: Settings, stop: threading.Event) -> None:
    """Until `stop`, whatever else comes and goes. Raises MissingPackage, SecretFileError, OSError."""
    kafka, letters = options(settings), dead_letter_topic(settings)
    from kafka.errors import KafkaError

    from kafka_ingest.intake_consumer import IntakeConsumer, open_consumer
    from kafka_ingest.reaching import unavailable

    settings.paths.make()
    store, journal = store_for(settings), open_journal(settings)
    intake = _intake(settings, store, journal)
    try:
        while not stop.is_set():
            try:
                with closing(open_consumer(kafka, settings.kafka.intake_topic)) as consumer:
                    IntakeConsumer(consumer, intake, letters).run(stop)
            except KafkaError as error:
                _log.warning("waiting: %s", unavailable(kafka, error))
                stop.wait(RETRY_SECONDS)
    finally:
        letters.close()
        journal.close()
        store.close()


def open_journal(settings: Settings) -> Journal:
    """One that is on disk before Kafka is told that a message is done with."""
    limits = settings.journal
    segment_bytes, max_bytes = limits.segment_mib << 20, limits.max_mib << 20
    return Journal.open(settings.paths.journal, sync="always", segment_bytes=segment_bytes, max_bytes=max_bytes)


def _intake(settings: Settings, store: Store, journal: Journal) -> Intake:
    given = keyring(settings.secrets.token_keys, settings.secrets.customer_key)
    return Intake(
        IntakeDecoder(schemas(settings)),
        given or load_or_create(settings.paths.secrets),
        Judge(impressions_per_minute=0, clicks_per_minute=0, too_fast_us=0),
        journal,
        KnownConfiguration(store, settings.snapshot.refresh_seconds).get,
        clock=lambda: time.time_ns() // 1000,
    )


class KnownConfiguration:
    """The configuration, read again when it has changed; the last one known while the store is away."""

    def __init__(self, store: Store, refresh_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._look_at = clock()
        self._known: Configuration | None = None

    def get(self) -> Configuration:
        """Raises StoreUnavailable while none is known."""
        if self._known is None:
            self._known = self._store.configuration()
        elif self._clock() >= self._look_at:
            with suppress(StoreUnavailable):
                if self._store.configuration_version() != self._known.version:
                    self._known = self._store.configuration()
            self._look_at = self._clock() + self._refresh_seconds
        return self._known


if __name__ == "__main__":
    sys.exit(main())

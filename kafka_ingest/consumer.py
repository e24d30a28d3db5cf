"""Count events from Kafka into Cassandra: `python -m kafka_ingest.consumer [--epoch NUMBER]`.

Run at most as many as the topic has partitions; each takes its share of them, under the name consumer.instance. Without
--epoch it counts the active epoch, and goes over to the next one when that is published. It ends with an error where
its place in the group is disputed: let whatever watches over it start it again.

/metrics and /livez are on consumer.metrics_port. SIGTERM stores what is counted and leaves the group.

Exit codes: 0 told to end, 1 cannot go on, 2 wrong arguments or settings.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence

from kafka_ingest.opening import options
from processes import lifeline, log
from settings import Settings, SettingsError, load
from storage.base import MissingPackage
from storage.opening import cassandra_options


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    given = _parser().parse_args(arguments)
    if lifeline.PARENT_VARIABLE in environ:
        lifeline.die_with(int(environ[lifeline.PARENT_VARIABLE]))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load(environ)
        log.configure(settings.log.level, settings.log.time_zone)
        logging.getLogger("kafka").setLevel(logging.WARNING)
        return _consume(settings, given.epoch, stop)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except MissingPackage as error:
        print(f"cannot count: {error}", file=sys.stderr)
        return 1


def _consume(settings: Settings, epoch: int | None, stop: threading.Event) -> int:
    options(settings), cassandra_options(settings)  # say what is missing, before it is imported
    from kafka_ingest.consuming import LeftGroup, consume
    from kafka_ingest.epoch_topic import CannotCount

    try:
        consume(settings, epoch, stop)
    except (CannotCount, LeftGroup) as error:
        print(f"cannot count: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.consumer", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--epoch", type=int, help="count this epoch, published or not (default: the active one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

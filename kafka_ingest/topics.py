"""Make the topics that the service needs: `python -m kafka_ingest.topics [--partitions N] [--replication N]`.

Topics that exist stay as they are, and what in their configuration could lose or repeat events is named.

Exit codes: 0 all are there and right, 1 not, 2 wrong arguments or settings.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence

from kafka_ingest.opening import options
from settings import Settings, SettingsError, load
from storage.base import MissingPackage, StoreUnavailable

DAY_MS = 86_400_000
RETENTION_DAYS = 7
"""Of events: enough to repair a consumer."""
DEAD_LETTER_DAYS = 12
"""A dead letter may be replayed for so long. A claim is kept for 70 days; a click may be 30 days younger than its
impression, wait 21 in a journal and 7 in the topic before it is set aside."""
DEAD_LETTER_BYTES = 2 << 20
"""More than any message of the other topics, since headers come on top."""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    given = _parser().parse_args(arguments)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it would print what the last line says too
    try:
        settings = load(environ)
        kafka = options(settings)
        from kafka_ingest.topic_making import make_topics

        wrong = make_topics(kafka, wanted(settings), given.partitions, given.replication, print)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (StoreUnavailable, MissingPackage) as error:
        print(f"topics cannot be made: {error}", file=sys.stderr)
        return 1
    print("\n".join(wrong) or "all topics are there")
    return 1 if wrong else 0


def wanted(settings: Settings) -> dict[str, dict[str, str]]:
    """The topics, and what each needs besides."""
    week = {"retention.ms": str(RETENTION_DAYS * DAY_MS)}
    long = {"retention.ms": str(DEAD_LETTER_DAYS * DAY_MS), "max.message.bytes": str(DEAD_LETTER_BYTES)}
    given = settings.kafka
    return {given.topic: week, given.intake_topic: week, given.dead_letter_topic: long}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.topics", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--partitions", type=int, default=8, help="of new topics (default: %(default)s)")
    parser.add_argument("--replication", type=int, default=1, help="copies; 3 in production (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Look at the dead-letter topic, or hand its messages to their topics again: `python -m kafka_ingest.dead_letters`.

`list` prints those that were not replayed yet. `replay` writes each into the partition it came from; what still cannot
be read comes back as a new dead letter, and nothing counts twice.

Exit codes: 0 done, 1 not (all) done, 2 wrong arguments or settings.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kafka_ingest.opening import options
from settings import Settings, SettingsError, load
from storage.base import MissingPackage, StoreUnavailable

if TYPE_CHECKING:
    from kafka_ingest.dead_letter_replay import Waiting

_LINE = "{:19}  {:24}  {:>9}  {:>10}  {:>7}  {}"
_TITLES = _LINE.format("set aside (UTC)", "topic", "partition", "offset", "bytes", "reason")


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The command; returns its exit code."""
    command = _parser().parse_args(arguments).command
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it would print what the last line says too
    try:
        settings = load(environ)
        print(_list(settings) if command == "list" else _replay(settings))
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (StoreUnavailable, MissingPackage) as error:
        print(f"dead letters: {error}", file=sys.stderr)
        return 1
    return 0


def _list(settings: Settings) -> str:
    kafka = options(settings)
    from kafka_ingest.dead_letter_replay import waiting

    count = 0
    for one in waiting(kafka, settings.kafka.dead_letter_topic):
        print(*([_TITLES] if not count else []), _describe(one), sep="\n")
        count += 1
    return _count_text(count)


def _replay(settings: Settings) -> str:
    kafka = options(settings)
    from kafka_ingest.dead_letter_replay import replay

    return f"{_count_text(replay(kafka, settings.kafka.dead_letter_topic))} handed to their topics"


def _describe(waiting: "Waiting") -> str:
    letter, set_aside_ms = waiting
    when = datetime.fromtimestamp(set_aside_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    size = len(letter.value or b"")
    line = _LINE.format(when, letter.topic, letter.partition, letter.offset, size, letter.reason)
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.dead_letters", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print one line for each: when, from where, and why")
    commands.add_parser("replay", help="hand them all to their topics again")
    return parser


def _count_text(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count or 'no'} dead letters"


if __name__ == "__main__":
    sys.exit(main())

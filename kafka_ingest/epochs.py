"""Generations of counts: `python -m kafka_ingest.epochs create | publish NUMBER | skip NUMBER | list`.

An epoch is counted from one incarnation of the topic. `create` makes one that begins where the topic's logs begin now;
nobody reads it until `publish` switches everybody over. Where the topic was made anew, `create` carries over what the
active epoch has counted. `publish` refuses an epoch that lacks what the active one holds. Publishing the active epoch
once more takes up partitions that were added to the topic since. `skip` goes on with an epoch where the log no longer
has what is to be counted next; what was deleted stays uncounted, until it is recounted from an archive that has it.

Exit codes: 0 done, 1 not done, 2 wrong arguments or settings.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing

from bandit.model import Epoch
from kafka_ingest.opening import cassandra_session, options
from settings import Settings, SettingsError, load
from storage.base import Conflict, MissingPackage, StoreUnavailable
from storage.opening import cassandra_options


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    given = _parser().parse_args(arguments)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it would print what the last line says too
    try:
        settings = load(environ)
        options(settings), cassandra_options(settings)  # say what is missing, before it is imported
        from kafka_ingest.epoch_topic import CannotCount
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except MissingPackage as error:
        print(error, file=sys.stderr)
        return 1
    try:
        print(_do(given, settings))
    except (Conflict, StoreUnavailable, CannotCount) as error:
        print(f"not done: {error}", file=sys.stderr)
        return 1
    return 0


def _do(given: argparse.Namespace, settings: Settings) -> str:
    """What there is to say about it."""
    from kafka_ingest.epoch_making import create, publish, skip
    from storage.cassandra_epochs import active_epoch, epochs

    with closing(cassandra_session(settings)) as session:
        if given.command == "create":
            active = active_epoch(session)
            return _created(create(session, options(settings), settings.kafka.topic, time.time_ns() // 1000), active)
        if given.command == "publish":
            partitions = publish(session, options(settings), given.number, lose_history=given.lose_history)
            return f"epoch {given.number} is the active one; new impressions are spread over {partitions} shards"
        if given.command == "skip":
            return _skipped(skip(session, options(settings), given.number))
        return "\n".join(map(_line, epochs(session))) or "there is none; `create` makes one"


def _created(epoch: Epoch, active: Epoch | None) -> str:
    carried = ""
    if active is not None and active.topic_id != epoch.topic_id:
        carried = f", with all that epoch {active.number} has counted"
    return (
        f"epoch {epoch.number} is made, over {epoch.partitions} partitions of {epoch.topic}{carried}. Count it with "
        f"`python -m kafka_ingest.consumer --epoch {epoch.number}`, or publish it at once where nothing was counted yet"
    )


def _skipped(skipped: Mapping[int, int]) -> str:
    lines = [f"shard {shard}: {number:,} messages that were deleted are left out" for shard, number in skipped.items()]
    return "\n".join(lines) or "nothing is skipped: the log has what is to be counted next"


def _line(epoch: Epoch) -> str:
    place = f"{epoch.partitions} partitions of {epoch.topic}, topic id {epoch.topic_id}"
    return f"{epoch.number:>5}  {epoch.state:8}  {place}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.epochs", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, metavar="create | publish | skip | list")
    commands.add_parser("create", help="make the next epoch over kafka.topic")
    publishing = commands.add_parser("publish", help="let everybody read this epoch, and spread over its partitions")
    publishing.add_argument("number", type=int, help="of the epoch")
    publishing.add_argument(
        "--lose-history", action="store_true", help="even where that forgets what only the active one holds"
    )
    skipping = commands.add_parser("skip", help="go on where the log begins now, if it lost what comes next")
    skipping.add_argument("number", type=int, help="of the epoch")
    commands.add_parser("list", help="all epochs, with their state")
    return parser


if __name__ == "__main__":
    sys.exit(main())

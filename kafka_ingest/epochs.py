"""Generations of counts: `python -m kafka_ingest.epochs create | publish NUMBER | list`.

An epoch is counted from one incarnation of the topic. `create` makes one that begins where the topic's logs begin now;
nobody reads it until `publish` switches everybody over. Publishing the active epoch once more takes up partitions that
were added to the topic since.

Exit codes: 0 done, 1 not done, 2 wrong arguments or settings.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence

from bandit.model import Epoch
from kafka_ingest.client import KafkaOptions
from kafka_ingest.epoch_topic import CannotCount, check_topic, log_starts, read_topic
from kafka_ingest.opening import cassandra_session, options
from settings import Settings, SettingsError, load
from storage.base import Conflict, MissingPackage, StoreUnavailable
from storage.cassandra_epochs import active_epoch, create_epoch, epochs, publish_epoch, set_partitions
from storage.cassandra_session import CassandraSession


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    given = _parser().parse_args(arguments)
    try:
        settings = load(environ)
        session = cassandra_session(settings)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except MissingPackage as error:
        print(error, file=sys.stderr)
        return 1
    try:
        print(_do(given, settings, session))
    except (Conflict, StoreUnavailable, CannotCount, MissingPackage) as error:
        print(f"not done: {error}", file=sys.stderr)
        return 1
    finally:
        session.close()
    return 0


def create(session: CassandraSession, kafka: KafkaOptions, topic: str, now_us: int) -> Epoch:
    """A new epoch of the topic as it is now. Raises CannotCount, Conflict, StoreUnavailable."""
    state = read_topic(kafka, topic)
    number = max((epoch.number for epoch in epochs(session)), default=0) + 1
    starts = log_starts(kafka, topic, state.partitions)
    epoch = Epoch(number, topic, state.id, state.partitions, now_us, starts, "filling")
    create_epoch(session, epoch)
    return epoch


def publish(session: CassandraSession, kafka: KafkaOptions, number: int) -> int:
    """Make it the active one, spread over the partitions that its topic has now; how many those are.

    Raises CannotCount, Conflict, StoreUnavailable.
    """
    epoch = next((epoch for epoch in epochs(session) if epoch.number == number), None)
    if epoch is None:
        raise Conflict(f"there is no epoch {number}; `list` shows those there are")
    check_topic(kafka, epoch)
    partitions = read_topic(kafka, epoch.topic).partitions
    if partitions != epoch.partitions:
        set_partitions(session, number, partitions)
    active = active_epoch(session)
    if active is None or active.number != number:
        publish_epoch(session, number)
    return partitions


def _do(given: argparse.Namespace, settings: Settings, session: CassandraSession) -> str:
    """What there is to say about it."""
    if given.command == "create":
        return _created(create(session, options(settings), settings.kafka.topic, time.time_ns() // 1000))
    if given.command == "publish":
        partitions = publish(session, options(settings), given.number)
        return f"epoch {given.number} is the active one; new impressions are spread over {partitions} shards"
    return "\n".join(map(_line, epochs(session))) or "there is none; `create` makes one"


def _created(epoch: Epoch) -> str:
    return (
        f"epoch {epoch.number} is made, over {epoch.partitions} partitions of {epoch.topic}. Count it with "
        f"`python -m kafka_ingest.consumer --epoch {epoch.number}`, or publish it at once where nothing was counted yet"
    )


def _line(epoch: Epoch) -> str:
    place = f"{epoch.partitions} partitions of {epoch.topic}, topic id {epoch.topic_id}"
    return f"{epoch.number:>5}  {epoch.state:8}  {place}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.epochs", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, metavar="create | publish | list")
    commands.add_parser("create", help="make the next epoch over kafka.topic")
    publishing = commands.add_parser("publish", help="let everybody read this epoch, and spread over its partitions")
    publishing.add_argument("number", type=int, help="of the epoch")
    commands.add_parser("list", help="all epochs, with their state")
    return parser


if __name__ == "__main__":
    sys.exit(main())

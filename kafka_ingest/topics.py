"""Make the topics that the service needs: `python -m kafka_ingest.topics [--partitions N] [--replication N]`.

Topics that exist stay as they are, and what in their configuration could lose or repeat events is named.

Exit codes: 0 all are there and right, 1 not, 2 wrong arguments or settings.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from kafka_ingest.client import KafkaOptions
from kafka_ingest.opening import options
from settings import Settings, SettingsError, load
from storage.base import MissingPackage

DAY_MS = 86_400_000
RETENTION_DAYS = 7
"""Of events: enough to repair a consumer."""
DEAD_LETTER_DAYS = 12
"""A dead letter may be replayed for so long. A claim is kept for 70 days; a click may be 30 days younger than its
impression, wait 21 in a journal and 7 in the topic before it is set aside."""
DEAD_LETTER_BYTES = 2 << 20
"""More than any message of the other topics, since headers come on top."""
REQUIRED = {
    "cleanup.policy": "delete",
    "unclean.leader.election.enable": "false",
}
"""Compaction would drop events, and an unclean leader forgets some that were acknowledged."""


Configs = Mapping[str, str]


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    given = _parser().parse_args(arguments)
    try:
        settings = load(environ)
        wrong = make_topics(options(settings), wanted(settings), given.partitions, given.replication)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (KafkaError, MissingPackage) as error:
        print(f"topics cannot be made: {error}", file=sys.stderr)
        return 1
    print("\n".join(wrong) or "all topics are there")
    return 1 if wrong else 0


def wanted(settings: Settings) -> dict[str, Configs]:
    """The topics, and what each needs besides."""
    week = {"retention.ms": str(RETENTION_DAYS * DAY_MS)}
    long = {"retention.ms": str(DEAD_LETTER_DAYS * DAY_MS), "max.message.bytes": str(DEAD_LETTER_BYTES)}
    given = settings.kafka
    return {given.topic: week, given.intake_topic: week, given.dead_letter_topic: long}


def make_topics(kafka: KafkaOptions, topics: Mapping[str, Configs], partitions: int, replication: int) -> list[str]:
    """Make those that are missing; a line for all that is wrong about those that were there. Raises KafkaError."""
    admin = KafkaAdminClient(**kafka.arguments())
    try:
        for topic, special in topics.items():
            _make(admin, topic, partitions, replication, special)
        return [line for topic in topics for line in _wrong(admin, topic)]
    finally:
        admin.close()


def _make(admin: KafkaAdminClient, topic: str, partitions: int, replication: int, special: Configs) -> None:
    configs = {**REQUIRED, **special, "min.insync.replicas": str(max(1, replication - 1))}
    new = {"num_partitions": partitions, "replication_factor": replication, "configs": configs}
    try:
        admin.create_topics({topic: new}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return
    print(f"made {topic}: {partitions} partitions, {replication} replicas")


def _wrong(admin: KafkaAdminClient, topic: str) -> list[str]:
    found = configuration(admin, topic)
    return [
        f"{topic}: {name} is {found.get(name)}; it must be {right}"
        for name, right in REQUIRED.items()
        if found.get(name) != right
    ]


def configuration(admin: KafkaAdminClient, topic: str) -> dict[str, str]:
    """What holds for the topic, by name. Raises KafkaError."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
    return {name: str(row["value"]) for name, row in found.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.topics", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--partitions", type=int, default=8, help="of new topics (default: %(default)s)")
    parser.add_argument("--replication", type=int, default=1, help="copies; 3 in production (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Making topics, and looking at how they are configured."""

from collections.abc import Callable, Mapping

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from kafka_ingest.client import KafkaOptions
from kafka_ingest.reaching import unavailable

REQUIRED = {
    "cleanup.policy": "delete",
    "unclean.leader.election.enable": "false",
}
"""Compaction would drop events, and an unclean leader forgets some that were acknowledged."""

Configs = Mapping[str, str]


def make_topics(
    kafka: KafkaOptions,
    topics: Mapping[str, Configs],
    partitions: int,
    replication: int,
    tell: Callable[[str], None],
) -> list[str]:
    """Make those that are missing, each with what it needs besides REQUIRED, and tell of each; a line for all that is
    wrong about those that were there. Raises StoreUnavailable."""
    try:
        admin = KafkaAdminClient(**kafka.arguments())
        try:
            for topic, special in topics.items():
                if _make(admin, topic, partitions, replication, special):
                    tell(f"made {topic}: {partitions} partitions, {replication} replicas")
            return [line for topic in topics for line in _wrong(admin, topic)]
        finally:
            admin.close()
    except KafkaError as error:
        raise unavailable(kafka, error) from error


def _make(admin: KafkaAdminClient, topic: str, partitions: int, replication: int, special: Configs) -> bool:
    """False where it is there already."""
    configs = {**REQUIRED, **special, "min.insync.replicas": str(max(1, replication - 1))}
    new = {"num_partitions": partitions, "replication_factor": replication, "configs": configs}
    try:
        admin.create_topics({topic: new}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    return True


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

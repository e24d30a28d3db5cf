"""The topic of an epoch: which incarnation it is, how it is partitioned, where its logs begin."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, for_code

from bandit.model import Epoch
from kafka_ingest.client import KafkaOptions
from kafka_ingest.delay import LONGEST_DELAY_DAYS
from kafka_ingest.reaching import unavailable
from kafka_ingest.topic_making import configuration
from storage.retention import LONGEST_WINDOW_DAYS

Offset = TypeVar("Offset", int, int | None)
DAY_MS = 86_400_000
CLAIM_DAYS = 70
"""How long claims live: default_time_to_live of the table in schema.cql."""
LONGEST_RETENTION_DAYS = CLAIM_DAYS - LONGEST_WINDOW_DAYS - LONGEST_DELAY_DAYS - 1
"""An event may be counted so long after it came; its claim has to be there as long as a repetition may come."""


MAKE_EPOCH = (
    "make a new epoch for what is there now, to which all that was counted is carried over, and publish it: "
    "`python -m kafka_ingest.epochs create`, then `publish`"
)


def skip_advice(epoch: int) -> str:
    """What to do where the log lost what is to be counted next."""
    return (
        f"`python -m kafka_ingest.epochs skip {epoch}` goes on where the log begins now and keeps what was counted; "
        "where the archive has what was deleted, `python -m spark_jobs.recount --publish` counts it afterwards"
    )


class CannotCount(Exception):
    """Going on would count wrongly; the message says what to do."""


class TopicState(NamedTuple):
    """A topic as it is now."""

    id: str
    """Another one when it is deleted and made anew."""
    partitions: int
    retention_days: float
    """Infinite where nothing is deleted."""


def read_topic(options: KafkaOptions, topic: str) -> TopicState:
    """Raises CannotCount where there is none, StoreUnavailable."""
    try:
        admin = KafkaAdminClient(**options.arguments())
        try:
            found = admin.describe_topics([topic])[0]
            if found["error_code"]:
                raise CannotCount(
                    f"topic {topic} cannot be read ({for_code(found['error_code']).__name__}); "
                    "`python -m kafka_ingest.topics` makes it, or kafka.topic names another"
                )
            retention_ms = int(configuration(admin, topic)["retention.ms"])
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise unavailable(options, error) from error
    days = retention_ms / DAY_MS if retention_ms >= 0 else float("inf")
    return TopicState(str(found["topic_id"]), len(found["partitions"]), days)


def log_starts(options: KafkaOptions, topic: str, partitions: int) -> dict[int, int]:
    """Partition -> its first offset. Raises StoreUnavailable."""
    return _ask(options, topic, partitions, KafkaConsumer.beginning_offsets)


def log_ends(options: KafkaOptions, topic: str, partitions: int) -> dict[int, int]:
    """Partition -> the offset that its next message gets. Raises StoreUnavailable."""
    return _ask(options, topic, partitions, KafkaConsumer.end_offsets)


def log_offsets_at(options: KafkaOptions, topic: str, partitions: int, time_ms: int) -> dict[int, int | None]:
    """Partition -> its first message of this time or later, by its time in Kafka; None: there is none yet. Raises
    StoreUnavailable."""

    def find(consumer: KafkaConsumer, logs: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        found = consumer.offsets_for_times(dict.fromkeys(logs, time_ms))
        return {log: one and one.offset for log, one in found.items()}

    return _ask(options, topic, partitions, find)


def _ask(
    options: KafkaOptions,
    topic: str,
    partitions: int,
    question: Callable[[KafkaConsumer, list[TopicPartition]], dict[TopicPartition, Offset]],
) -> dict[int, Offset]:
    logs = [TopicPartition(topic, number) for number in range(partitions)]
    try:
        consumer = KafkaConsumer(**options.arguments())
        try:
            return {log.partition: offset for log, offset in question(consumer, logs).items()}
        finally:
            consumer.close()
    except (KafkaError, OSError) as error:
        raise unavailable(options, error) from error


def check_topic(options: KafkaOptions, epoch: Epoch) -> None:
    """Raise CannotCount where the epoch must not be counted from the topic as it is now. Raises StoreUnavailable."""
    now = read_topic(options, epoch.topic)
    if now.id != epoch.topic_id:
        raise CannotCount(
            f"topic {epoch.topic} is not the one that epoch {epoch.number} is counted from (its id is {now.id}, not "
            f"{epoch.topic_id}): it was deleted and made anew, or this is another Kafka; {MAKE_EPOCH}"
        )
    if now.retention_days > LONGEST_RETENTION_DAYS:
        raise CannotCount(
            f"topic {epoch.topic} keeps events for {now.retention_days:.0f} days; set its retention.ms to at most "
            f"{LONGEST_RETENTION_DAYS * DAY_MS} ({LONGEST_RETENTION_DAYS} days): views and clicks are told from "
            f"repetitions for {CLAIM_DAYS} days, which have to cover the attribution window and the journals' delay too"
        )

"""Epochs over the topic as it is in Kafka: made, published, and spread over partitions that were added."""

from bandit.model import Epoch
from kafka_ingest.client import KafkaOptions
from kafka_ingest.epoch_topic import check_topic, log_starts, read_topic
from storage.base import Conflict
from storage.cassandra_epochs import active_epoch, create_epoch, epochs, publish_epoch, set_partitions
from storage.cassandra_session import CassandraSession


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

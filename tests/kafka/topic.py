"""A topic of a real Kafka for one test: made, written to and read as others would."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions


class Message(NamedTuple):
    """One message of the topic."""

    partition: int
    offset: int
    value: bytes | None
    headers: dict[str, bytes]
    timestamp_ms: int


@contextmanager
def admin(bootstrap: str) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        yield client
    finally:
        client.close()


class Topic:
    """A topic with a name of its own."""

    def __init__(self, bootstrap: str, *, partitions: int = 4, name: str = "", **configs: str) -> None:
        self.bootstrap = bootstrap
        self.name = name or f"t-{secrets.token_hex(6)}"
        self._partitions = partitions
        self._configs = {key.replace("_", "."): value for key, value in configs.items()}

    def create(self) -> "Topic":
        """Make it, with a leader for every partition."""
        wanted = {"num_partitions": self._partitions, "configs": self._configs}
        with admin(self.bootstrap) as client:
            client.create_topics({self.name: wanted}, wait_for_metadata=True)
        return self

    def grow(self, partitions: int) -> None:
        """Add partitions, and return when they are there."""
        with admin(self.bootstrap) as client:
            client.create_partitions({self.name: NewPartitions(partitions)})
            client.wait_for_topics([self.name])

    def replicas_in_sync(self) -> set[int]:
        """How many, of the partitions."""
        with admin(self.bootstrap) as client:
            (described,) = client.describe_topics([self.name])
        return {len(partition["isr_nodes"]) for partition in described["partitions"]}

    def configure(self, **configs: str) -> None:
        """Change its configuration."""
        changed = {key.replace("_", "."): value for key, value in configs.items()}
        with admin(self.bootstrap) as client:
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.name, changed)])

    def put(self, *values: bytes | None, partition: int = 0, timestamp_ms: int | None = None) -> None:
        """Write messages, and return when they are there."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap.split(","), acks="all")
        try:
            # kafka-python writes no message without key and value.
            futures = [
                producer.send(
                    self.name, value, key=None if value else b"", partition=partition, timestamp_ms=timestamp_ms
                )
                for value in values
            ]
            for future in futures:
                future.get(timeout=60)
        finally:
            producer.close()

    def messages(self) -> list[Message]:
        """All there are, by partition and offset."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap.split(","), enable_auto_commit=False)
        try:
            partitions = [TopicPartition(self.name, number) for number in consumer.partitions_for_topic(self.name)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            ends = consumer.end_offsets(partitions)
            return sorted(_read(consumer, ends))
        finally:
            consumer.close()

    def values(self, partition: int | None = None) -> list[bytes | None]:
        """Of all messages, or of one partition."""
        return [one.value for one in self.messages() if partition in (None, one.partition)]


def _read(consumer: KafkaConsumer, ends: dict[TopicPartition, int]) -> Iterator[Message]:
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        for records in consumer.poll(timeout_ms=1000).values():
            for one in records:
                yield Message(one.partition, one.offset, one.value, dict(one.headers), one.timestamp)

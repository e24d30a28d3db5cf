"""The topic of messages that nobody can read: as they were, with where they came from and why in their headers."""

from collections.abc import Sequence
from typing import NamedTuple

from kafka.consumer.fetcher import ConsumerRecord

from kafka_ingest.client import KafkaOptions
from kafka_ingest.producing import Message, TopicWriter
from storage.base import StoreUnavailable

MAX_REASON_LETTERS = 1000


class DeadLetter(NamedTuple):
    """A message that was set aside."""

    key: bytes | None
    value: bytes | None
    reason: str
    topic: str
    """Where it came from."""
    partition: int
    offset: int

    @classmethod
    def of(cls, record: ConsumerRecord, reason: str) -> "DeadLetter":
        """To set this record aside."""
        return cls(record.key, record.value, reason, record.topic, record.partition, record.offset)

    @classmethod
    def read(cls, record: ConsumerRecord) -> "DeadLetter":
        """What a record of the dead-letter topic says. Raises ValueError for one that somebody else wrote."""
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        try:
            place = headers["topic"], int(headers["partition"]), int(headers["offset"])
        except KeyError as error:
            raise ValueError(f"it has no header {error}") from error
        return cls(record.key, record.value, headers.get("reason", ""), *place)

    def message(self) -> Message:
        """As it is written."""
        headers = [
            ("reason", self.reason[:MAX_REASON_LETTERS].encode("utf-8", "replace")),
            ("topic", self.topic.encode()),
            ("partition", str(self.partition).encode()),
            ("offset", str(self.offset).encode()),
        ]
        return Message(None, self.value, headers, self.key)


class DeadLetterTopic:
    """Where a consumer sets aside what it cannot read, before it goes on."""

    def __init__(self, options: KafkaOptions, topic: str) -> None:
        """Connects when first used."""
        self._writer = TopicWriter(options, topic)

    def put(self, letters: Sequence[DeadLetter]) -> None:
        """Returns when all are acknowledged. Raises StoreUnavailable; the same call may then be repeated."""
        rejected = self._writer.write([letter.message() for letter in letters])
        if rejected:
            raise StoreUnavailable(
                f"{len(rejected)} dead letters cannot be written; raise max.message.bytes of the topic "
                f"{self._writer.topic}: {rejected[0].reason}"
            )

    def close(self) -> None:
        """Give the connection up."""
        self._writer.close()

"""The sink of the distributed mode: from the journal into Kafka, each record into the partition that is its shard."""

from collections.abc import Callable, Sequence

from kafka_ingest.client import KafkaOptions
from kafka_ingest.delay import TOO_LATE, is_too_late
from kafka_ingest.producing import Message, TopicWriter
from kafka_ingest.registry import Schemas
from kafka_ingest.wire import event_schema, header, subject
from storage.base import EventSink, Record, Refusal


class Forwarder(EventSink):
    """Delivers when the broker has acknowledged every record. Belongs to the drain: it may block for seconds."""

    def __init__(
        self,
        options: KafkaOptions,
        topic: str,
        schemas: Schemas,
        *,
        window_records: int,
        now_us: Callable[[], int],
    ) -> None:
        """At most window_records are sent and not acknowledged. Connects when it first delivers."""
        self._writer = TopicWriter(options, topic, window_records=window_records)
        self._schemas = schemas
        self._now_us = now_us
        self._header = b""

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        if not self._header:
            self._header = header(self._schemas.schema_id(subject(self._writer.topic), event_schema()))
        now_us, partitions = self._now_us(), self._partitions_for(max((record.shard for record in records), default=0))
        refusals, sent = [], []
        for record in records:
            reason = self._why_not(record, now_us, partitions)
            if reason:
                refusals.append(Refusal(record, reason))
            else:
                sent.append(record)
        rejected = self._writer.write([Message(record.shard, self._header + record.payload) for record in sent])
        return refusals + [Refusal(sent[one.position], one.reason) for one in rejected]

    def partition_count(self) -> int:
        """Of the topic. Raises StoreUnavailable."""
        return len(self._writer.partitions())

    def close(self) -> None:
        """Give the connection up."""
        self._writer.close()

    def _why_not(self, record: Record, now_us: int, partitions: int) -> str:
        """Why it must not go into the topic; empty when it may."""
        if record.shard >= partitions:
            return f"its shard {record.shard} is none of the {partitions} partitions of {self._writer.topic}"
        return TOO_LATE if is_too_late(record, now_us) else ""

    def _partitions_for(self, shard: int) -> int:
        """How many there are; asked again where this shard would lie beyond them, since some may have been added."""
        count = self.partition_count()
        if shard < count:
            return count
        self._writer.close()
        return self.partition_count()

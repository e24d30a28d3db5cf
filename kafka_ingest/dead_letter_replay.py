"""Reading the dead-letter topic, and handing what is in it to the topics it came from."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from kafka_ingest.client import KafkaOptions
from kafka_ingest.dead_letter_topic import DeadLetter
from kafka_ingest.producing import Message, TopicWriter
from kafka_ingest.reaching import unavailable
from storage.base import StoreUnavailable

_log = logging.getLogger(__name__)

GROUP = "banner-dead-letters-replay"
"""Its committed offsets say what was replayed."""
_POLL_MS = 1000


class Waiting(NamedTuple):
    """A dead letter that was not replayed yet."""

    letter: DeadLetter
    set_aside_ms: int
    """Milliseconds since 1970 UTC."""


def waiting(kafka: KafkaOptions, topic: str) -> Iterator[Waiting]:
    """What waits now. Raises StoreUnavailable."""
    try:
        with closing(_reader(kafka)) as consumer:
            for batch in _batches(consumer, topic):
                yield from _letters(batch)
    except KafkaError as error:
        raise unavailable(kafka, error) from error


def replay(kafka: KafkaOptions, topic: str) -> int:
    """Hand those that wait to their topics again; how many. Raises StoreUnavailable.

    Stopped half-way, the next call repeats some, which are recognised as repetitions where they are counted.
    """
    writers: dict[str, TopicWriter] = {}
    count = 0
    try:
        with closing(_reader(kafka)) as consumer:
            for batch in _batches(consumer, topic):
                count += _replay_batch(kafka, writers, batch)
                consumer.commit(_positions(batch))
        return count
    except KafkaError as error:
        raise unavailable(kafka, error) from error
    finally:
        for writer in writers.values():
            writer.close()


def _replay_batch(kafka: KafkaOptions, writers: dict[str, TopicWriter], batch: Sequence[ConsumerRecord]) -> int:
    by_topic: dict[str, list[Message]] = {}
    for letter, _ in _letters(batch):
        by_topic.setdefault(letter.topic, []).append(Message(letter.partition, letter.value, (), letter.key))
    for topic, messages in by_topic.items():
        writer = writers.setdefault(topic, TopicWriter(kafka, topic))
        rejected = writer.write(messages)
        if rejected:
            raise StoreUnavailable(f"{topic} does not take {len(rejected)} of them: {rejected[0].reason}")
    return sum(map(len, by_topic.values()))


def _letters(batch: Sequence[ConsumerRecord]) -> Iterator[Waiting]:
    for record in batch:
        try:
            yield Waiting(DeadLetter.read(record), record.timestamp)
        except ValueError as error:
            place = f"partition {record.partition}, offset {record.offset}"
            _log.warning("%s is no dead letter of ours: %s", place, error)


def _reader(kafka: KafkaOptions) -> KafkaConsumer:
    return KafkaConsumer(
        **kafka.arguments(),
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
    )


def _batches(consumer: KafkaConsumer, topic: str) -> Iterator[list[ConsumerRecord]]:
    """What waits now, up to the present end of the topic."""
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise StoreUnavailable(f"there is no topic {topic}; python -m kafka_ingest.topics makes it")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    ends, starts = consumer.end_offsets(partitions), consumer.beginning_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, max(consumer.committed(partition) or 0, starts[partition]))
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        for partition, records in consumer.poll(timeout_ms=_POLL_MS).items():
            waiting = [record for record in records if record.offset < ends[partition]]
            if waiting:
                yield waiting


def _positions(batch: Sequence[ConsumerRecord]) -> dict[TopicPartition, OffsetAndMetadata]:
    last = batch[-1]
    return {TopicPartition(last.topic, last.partition): OffsetAndMetadata(last.offset + 1, "", -1)}

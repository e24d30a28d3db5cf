"""Look at the dead-letter topic, or hand its messages to their topics again: `python -m kafka_ingest.dead_letters`.

`list` prints those that were not replayed yet. `replay` writes each into the partition it came from; what still cannot
be read comes back as a new dead letter, and nothing counts twice.

Exit codes: 0 done, 1 not (all) done, 2 wrong arguments or settings.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from kafka_ingest.client import KafkaOptions
from kafka_ingest.dead_letter_topic import DeadLetter
from kafka_ingest.opening import options
from kafka_ingest.producing import Message, TopicWriter
from settings import SettingsError, load
from storage.base import MissingPackage, StoreUnavailable

GROUP = "banner-dead-letters-replay"
"""Its committed offsets say what was replayed."""
POLL_MS = 1000
_LINE = "{:19}  {:24}  {:>9}  {:>10}  {:>7}  {}"
_TITLES = _LINE.format("set aside (UTC)", "topic", "partition", "offset", "bytes", "reason")


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The command; returns its exit code."""
    command = _parser().parse_args(arguments).command
    try:
        settings = load(environ)
        kafka, topic = options(settings), settings.kafka.dead_letter_topic
        return _list(kafka, topic) if command == "list" else _replay(kafka, topic)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (KafkaError, StoreUnavailable, MissingPackage) as error:
        print(f"dead letters: {error}", file=sys.stderr)
        return 1


def replay(kafka: KafkaOptions, topic: str) -> int:
    """Hand those that wait to their topics again; how many. Raises KafkaError, StoreUnavailable.

    Stopped half-way, the next call repeats some, which are recognised as repetitions where they are counted.
    """
    writers: dict[str, TopicWriter] = {}
    count = 0
    try:
        with _reader(kafka) as consumer:
            for batch in _batches(consumer, topic):
                count += _replay_batch(kafka, writers, batch)
                consumer.commit(_positions(batch))
    finally:
        for writer in writers.values():
            writer.close()
    return count


def _replay_batch(kafka: KafkaOptions, writers: dict[str, TopicWriter], batch: Sequence[ConsumerRecord]) -> int:
    by_topic: dict[str, list[Message]] = {}
    for letter in map(_read, batch):
        if letter is not None:
            by_topic.setdefault(letter.topic, []).append(Message(letter.partition, letter.value, (), letter.key))
    for topic, messages in by_topic.items():
        writer = writers.setdefault(topic, TopicWriter(kafka, topic))
        rejected = writer.write(messages)
        if rejected:
            raise StoreUnavailable(f"{topic} does not take {len(rejected)} of them: {rejected[0].reason}")
    return sum(map(len, by_topic.values()))


def _read(record: ConsumerRecord) -> DeadLetter | None:
    try:
        return DeadLetter.read(record)
    except ValueError as error:
        print(
            f"partition {record.partition}, offset {record.offset} is no dead letter of ours: {error}", file=sys.stderr
        )
        return None


@contextmanager
def _reader(kafka: KafkaOptions) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        **kafka.arguments(),
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
    )
    try:
        yield consumer
    finally:
        consumer.close()


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
        for partition, records in consumer.poll(timeout_ms=POLL_MS).items():
            waiting = [record for record in records if record.offset < ends[partition]]
            if waiting:
                yield waiting


def _positions(batch: Sequence[ConsumerRecord]) -> dict[TopicPartition, OffsetAndMetadata]:
    last = batch[-1]
    return {TopicPartition(last.topic, last.partition): OffsetAndMetadata(last.offset + 1, "", -1)}


def _list(kafka: KafkaOptions, topic: str) -> int:
    count = 0
    with _reader(kafka) as consumer:
        for record in (record for batch in _batches(consumer, topic) for record in batch):
            letter = _read(record)
            if letter is not None:
                print(*([_TITLES] if not count else []), _describe(letter, record.timestamp), sep="\n")
                count += 1
    print(_count_text(count))
    return 0


def _describe(letter: DeadLetter, timestamp_ms: int) -> str:
    when = datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    size = len(letter.value or b"")
    line = _LINE.format(when, letter.topic, letter.partition, letter.offset, size, letter.reason)
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _replay(kafka: KafkaOptions, topic: str) -> int:
    print(f"{_count_text(replay(kafka, topic))} handed to their topics")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kafka_ingest.dead_letters", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print one line for each: when, from where, and why")
    commands.add_parser("replay", help="hand them all to their topics again")
    return parser


def _count_text(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count or 'no'} dead letters"


if __name__ == "__main__":
    sys.exit(main())

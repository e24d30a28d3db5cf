"""Messages that nobody can count: written to the dead-letter topic unchanged, with where they were found and why."""

from kafka.consumer.fetcher import ConsumerRecord

from kafka_ingest.producing import Message

REASON, TOPIC, PARTITION, OFFSET = "reason", "topic", "partition", "offset"
"""Names of the headers; each value is a text in UTF-8."""


def dead_letter(record: ConsumerRecord, reason: str) -> Message:
    """What is written to the dead-letter topic. A replay of the log writes it again, with the same headers."""
    headers = {REASON: reason, TOPIC: record.topic, PARTITION: str(record.partition), OFFSET: str(record.offset)}
    return Message(None, record.value, [(name, value.encode()) for name, value in headers.items()])

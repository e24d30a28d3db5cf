"""One member of the intake's group: reads the topic, and is done with a message when it is journaled or set aside."""

import logging
import threading
from collections.abc import Sequence

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from kafka_ingest.client import KafkaOptions
from kafka_ingest.dead_letter_topic import DeadLetter, DeadLetterTopic
from kafka_ingest.intake_events import Intake, Verified
from kafka_ingest.intake_message import Unacceptable
from kafka_ingest.joining import finish_joining
from storage.base import StoreUnavailable
from storage.journal import JournalRefused

_log = logging.getLogger(__name__)

GROUP = "banner-intake"
_POLL_MS = 500
_MAX_RECORDS = 500
_RETRY_SECONDS = 1.0


class IntakeConsumer:
    """At least once: what was journaled before a crash may be journaled again, and counts once all the same."""

    def __init__(self, kafka: KafkaConsumer, intake: Intake, dead_letters: DeadLetterTopic) -> None:
        self._kafka = kafka
        self._intake = intake
        self._dead_letters = dead_letters

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. Raises KafkaError when the group does not let it go on."""
        while not stop.is_set():
            polled = self._kafka.poll(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
            finish_joining(self._kafka)
            for partition, records in polled.items():
                position = self._take(records)
                self._commit(partition, position)
                if position <= records[-1].offset:
                    # Polling goes on meanwhile, so that the group does not take us for dead.
                    self._kafka.seek(partition, position)
                    stop.wait(_RETRY_SECONDS)

    def _take(self, records: Sequence[ConsumerRecord]) -> int:
        """Where to go on: behind them, unless something that is needed is away or full."""
        position: int = records[0].offset
        try:
            for record, verified in self._verified(records):
                position = record.offset
                self._intake.record(verified)
        except (StoreUnavailable, JournalRefused) as error:
            _log.warning("waiting: %s", error)
            return position
        return int(records[-1].offset) + 1

    def _verified(self, records: Sequence[ConsumerRecord]) -> list[tuple[ConsumerRecord, Verified]]:
        """Those that can be taken; the others are set aside. Raises StoreUnavailable."""
        found, letters = [], []
        for record in records:
            try:
                found.append((record, self._intake.verify(record.value, record.timestamp)))
            except Unacceptable as error:
                letters.append(DeadLetter.of(record, str(error)))
        if letters:
            _log.warning("%d messages are set aside, the first because: %s", len(letters), letters[0].reason)
            self._dead_letters.put(letters)
        return found

    def _commit(self, partition: TopicPartition, position: int) -> None:
        """What cannot be committed is read again by whoever has the partition then."""
        try:
            self._kafka.commit({partition: OffsetAndMetadata(position, "", -1)})
        except KafkaError as error:
            _log.warning("a position was not committed: %s", error)


def open_consumer(kafka: KafkaOptions, topic: str) -> KafkaConsumer:
    """A member of the group. Raises KafkaError."""
    return KafkaConsumer(
        topic,
        **kafka.arguments(),
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )

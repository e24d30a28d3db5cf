"""Take in views and clicks that others received: `python -m kafka_ingest.intake`.

Messages of the intake topic are `{kind, token, time}`. Each is judged as of the time it was received, which the message
names (else Kafka's own timestamp), and journaled like one that came over HTTP; the drain of this data directory, which has
to run beside, delivers it. A message that cannot be taken goes to the dead-letter topic. Messages may be read more than
once, also by several of these processes; a view or click counts once all the same.

Exit codes: 0 told to end, 1 cannot go on, 2 wrong settings.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from bandit.model import Configuration
from kafka_ingest.client import KafkaOptions
from kafka_ingest.dead_letter_topic import DeadLetter, DeadLetterTopic
from kafka_ingest.delay import DAY_US, LONGEST_DELAY_DAYS
from kafka_ingest.intake_message import IntakeDecoder, Reported, Unacceptable
from kafka_ingest.opening import MissingPackage, dead_letter_topic, options, schemas
from serving.feedback import attribution_window_us, journal_feedback
from serving.keyring import Keyring
from serving.token import NotOurToken, Token, verify
from serving.verdict import FUTURE_TOLERANCE_US, Judge, Visitor
from settings import Settings, SettingsError, load
from storage.base import StoreUnavailable
from storage.journal import Journal, JournalRefused

log = logging.getLogger(__name__)

GROUP = "banner-intake"
POLL_MS = 500
MAX_RECORDS = 500
RETRY_SECONDS = 1.0
_NOBODY = Visitor()
"""The message does not say who looked at the page, so the rules about visitors are not applied."""


class Verified(NamedTuple):
    """What a message reported, with a token that is ours."""

    reported: Reported
    token: Token


class Intake:
    """From messages to the journal."""

    def __init__(
        self,
        decoder: IntakeDecoder,
        keyring: Keyring,
        judge: Judge,
        journal: Journal,
        configuration: Callable[[], Configuration],
        *,
        clock: Callable[[], int],
    ) -> None:
        """`configuration` raises StoreUnavailable while none is known. `clock` gives microseconds since 1970 UTC."""
        self._decoder = decoder
        self._keyring = keyring
        self._judge = judge
        self._journal = journal
        self._configuration = configuration
        self._clock = clock

    def verify(self, message: bytes | None, timestamp_ms: int) -> Verified:
        """Raises Unacceptable, with the reason, and StoreUnavailable while the schema registry is away."""
        reported = self._decoder.decode(message, timestamp_ms)
        now_us = self._clock()
        if reported.received_us > now_us + FUTURE_TOLERANCE_US:
            raise Unacceptable("time: lies in the future")
        if reported.received_us < now_us - LONGEST_DELAY_DAYS * DAY_US:
            raise Unacceptable(f"time: lies more than {LONGEST_DELAY_DAYS} days back")
        try:
            return Verified(reported, verify(reported.token, self._keyring))
        except NotOurToken:
            raise Unacceptable("token: is not one that GET /banner gave out") from None

    def record(self, verified: Verified) -> None:
        """Judge and journal it. Raises JournalRefused, StoreUnavailable."""
        (kind, _, received_us), token = verified
        slot = self._configuration().slots.get((token.tenant, token.slot))
        verdict = self._judge.feedback(kind, token, _NOBODY, received_us, attribution_window_us(slot))
        journal_feedback(self._journal, kind, token, received_us, verdict)


class IntakeConsumer:
    """Reads the topic; a message is done with when it is in the journal, or set aside."""

    def __init__(self, kafka: KafkaConsumer, intake: Intake, dead_letters: DeadLetterTopic) -> None:
        self._kafka = kafka
        self._intake = intake
        self._dead_letters = dead_letters

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. Raises KafkaError when the group does not let it go on."""
        while not stop.is_set():
            for partition, records in self._kafka.poll(timeout_ms=POLL_MS, max_records=MAX_RECORDS).items():
                try:
                    self._take(records)
                except (StoreUnavailable, JournalRefused) as error:
                    log.warning("waiting: %s", error)
                    # Polling goes on meanwhile, so that the group does not take us for dead.
                    self._kafka.seek(partition, records[0].offset)
                    stop.wait(RETRY_SECONDS)
                else:
                    self._commit(partition, records[-1].offset + 1)

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        """Dead letters first: if they cannot be written, nothing was journaled that would be again."""
        verified, letters = [], []
        for record in records:
            try:
                verified.append(self._intake.verify(record.value, record.timestamp))
            except Unacceptable as error:
                letters.append(DeadLetter.of(record, str(error)))
        if letters:
            log.warning("%d messages were set aside, the first because: %s", len(letters), letters[0].reason)
            self._dead_letters.put(letters)
        for one in verified:
            self._intake.record(one)

    def _commit(self, partition: TopicPartition, position: int) -> None:
        """What cannot be committed is read again by whoever has the partition then."""
        try:
            self._kafka.commit({partition: OffsetAndMetadata(position, "", -1)})
        except KafkaError as error:
            log.warning("a position was not committed: %s", error)


def open_consumer(kafka: KafkaOptions, topic: str) -> KafkaConsumer:
    """A member of the intake's group. Raises KafkaError."""
    return KafkaConsumer(
        topic,
        **kafka.arguments(),
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )

"""Writing to Kafka so that nothing is lost and memory stays bounded."""

import gc
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from kafka import KafkaProducer
from kafka.errors import InvalidRecordError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.producer.future import FutureRecordMetadata

from kafka_ingest.client import CONNECT_SECONDS, KafkaOptions
from kafka_ingest.reaching import unavailable
from storage.base import StoreUnavailable

REQUEST_SECONDS = 5
DELIVERY_SECONDS = 10
"""After which a message that no broker has acknowledged is given up; its sender may try it again."""
LINGER_MS = 5
BATCH_BYTES = 64 << 10
MAX_REQUEST_BYTES = 2 << 20
"""A dead letter is somewhat longer than the message was; how long one may be says its topic."""

REFUSED_FOR_GOOD = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)
"""Trying again would not help. A batch fails as a whole, so only a message that was sent alone is surely to blame."""

Headers = Sequence[tuple[str, bytes]]


class Message(NamedTuple):
    """What is to be written."""

    partition: int | None
    """None: any."""
    value: bytes | None
    headers: Headers = ()
    key: bytes | None = None


class Rejected(NamedTuple):
    """A message that Kafka will never take: its position in what was given, and why."""

    position: int
    reason: str


Pending = tuple[int, FutureRecordMetadata]


def producer_arguments(options: KafkaOptions) -> dict[str, object]:
    """Those of our producers: acknowledged by all replicas in sync, each once, in order."""
    return {
        **options.arguments(),
        "acks": "all",
        "enable_idempotence": True,
        "allow_auto_create_topics": False,
        "linger_ms": LINGER_MS,
        "batch_size": BATCH_BYTES,
        "max_request_size": MAX_REQUEST_BYTES,
        "max_block_ms": CONNECT_SECONDS * 1000,
        "request_timeout_ms": REQUEST_SECONDS * 1000,
        "delivery_timeout_ms": DELIVERY_SECONDS * 1000,
        "metrics_enabled": False,
    }


class TopicWriter:
    """Writes to one topic, connecting when first used and again after every failure. One thread uses it."""

    def __init__(self, options: KafkaOptions, topic: str, *, window_records: int = 1000) -> None:
        """At most window_records messages wait to be acknowledged: kafka-python's own buffer has no bound."""
        self.topic = topic
        self._options = options
        self._window_records = window_records
        self._producer: KafkaProducer | None = None

    def partitions(self) -> frozenset[int]:
        """The topic's partitions, as last heard of. Raises StoreUnavailable."""
        try:
            return frozenset(self._open().partitions_for(self.topic))
        except (KafkaError, OSError) as error:
            raise self._unavailable(error) from error

    def write(self, messages: Sequence[Message]) -> list[Rejected]:
        """Returns when every message is acknowledged, but for those that never will be.

        Raises StoreUnavailable when some were not acknowledged in time: any of them may have been written all the
        same, and some twice when the call is repeated.
        """
        try:
            doubtful = self._write_windowed(self._open(), messages)
            return self._write_alone(doubtful, messages)
        except (KafkaError, OSError) as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Forget the connection; the next use makes another."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError):
                producer.close(timeout=CONNECT_SECONDS)

    def _open(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = KafkaProducer(**producer_arguments(self._options))
        return self._producer

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        self.close()
        gc.collect()  # kafka-python leaves it to the collector to close the sockets of connections that failed
        return unavailable(self._options, error, f", topic {self.topic}")

    def _write_windowed(self, producer: KafkaProducer, messages: Sequence[Message]) -> list[int]:
        """The positions of those that failed for good, alone or because of a neighbour. KafkaError for the others."""
        window: deque[Pending] = deque()
        doubtful: list[int] = []
        try:
            for position, message in enumerate(messages):
                if len(window) == self._window_records:
                    _settle(window.popleft(), doubtful)
                try:
                    window.append((position, self._send(producer, message)))
                except REFUSED_FOR_GOOD:
                    doubtful.append(position)
        finally:
            # Also after a failure: what nobody waited for would stay in the producer's memory.
            _settle_all(window, doubtful)
        return sorted(doubtful)

    def _write_alone(self, doubtful: Sequence[int], messages: Sequence[Message]) -> list[Rejected]:
        """Each of these by itself, with a producer that has not failed: after one such failure an idempotent producer
        fails everything else with the same error."""
        if doubtful:
            self.close()
        rejected = []
        for position in doubtful:
            try:
                _wait(self._send(self._open(), messages[position]))
            except REFUSED_FOR_GOOD as error:
                self.close()
                rejected.append(Rejected(position, f"Kafka does not take it: {error}"))
        return rejected

    def _send(self, producer: KafkaProducer, message: Message) -> FutureRecordMetadata:
        partition, value, headers, key = message
        if key is None and value is None:
            key = b""  # the client wants one of the two
        return producer.send(self.topic, value, key=key, headers=list(headers), partition=partition)


def _settle(pending: Pending, doubtful: list[int]) -> None:
    position, future = pending
    try:
        _wait(future)
    except REFUSED_FOR_GOOD:
        doubtful.append(position)


def _settle_all(window: deque[Pending], doubtful: list[int]) -> None:
    """Wait for all, then raise the first failure."""
    failures: list[KafkaError] = []
    while window:
        try:
            _settle(window.popleft(), doubtful)
        except KafkaError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _wait(future: FutureRecordMetadata) -> None:
    future.get(timeout=2 * DELIVERY_SECONDS)

"""One member of the consumer group: polls its partitions and counts them, whatever else comes and goes.

Two threads meet here: ours, and that of the Kafka client, which calls the listener when partitions come or go. Whoever
holds the lock works; ours never waits for Kafka while it holds it, since Kafka's thread may be waiting for the lock.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError

from bandit.counting import Counting, refusal
from bandit.event import BannerEvent, UndecodableEvent
from bandit.model import Epoch
from kafka_ingest.consumer_metrics import ConsumerMetrics
from kafka_ingest.dead_letter_topic import DeadLetter, DeadLetterTopic
from kafka_ingest.epoch_topic import CannotCount, skip_advice
from kafka_ingest.joining import finish_joining
from kafka_ingest.wire import Decoder
from storage.base import StoreUnavailable

log = logging.getLogger(__name__)

FLUSH_SECONDS, FLUSH_RECORDS = 1.0, 5_000
POLL_MS = 200
RETRY_SECONDS = 1.0
LEAVE_SECONDS = 8.0
"""How long it tries to store the rest when it is told to end."""


class CountingConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts what the group assigns to it, until it is told to stop."""

    def __init__(
        self,
        kafka: KafkaConsumer,
        epoch: Epoch,
        counting: Counting,
        decoder: Decoder,
        dead_letters: DeadLetterTopic,
        metrics: ConsumerMetrics,
        check_topic: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`check_topic` raises CannotCount when the topic is not the epoch's. `clock` is monotonic, in seconds."""
        self._kafka = kafka
        self._epoch = epoch
        self._counting = counting
        self._decoder = decoder
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._check_topic = check_topic
        self._clock = clock
        self._lock = threading.Lock()
        self._starting: set[int] = set()
        self._positions: dict[int, int] = {}
        """Of the shards being counted: the stored offset to go on from."""
        self._polled: dict[int, list[ConsumerRecord]] = {}
        """Not decoded yet."""
        self._undeliverable: dict[int, list[DeadLetter]] = {}
        self._unflushed = 0
        self._flush_at = 0.0
        self._retry_at = 0.0

    def run(self, stop: Callable[[], bool]) -> None:
        """Until `stop` says so; then store the rest. Raises CannotCount, KafkaError."""
        # Known before the group is joined: whoever leads it would else give nobody anything at first.
        self._kafka.partitions_for_topic(self._epoch.topic)
        self._kafka.subscribe([self._epoch.topic], listener=self)
        while not stop():
            self._turn()
        deadline = self._clock() + LEAVE_SECONDS
        while not self._is_done() and self._clock() < deadline:
            self._turn(is_leaving=True)

    # Called by Kafka's thread

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """They stay paused until their progress is read, so what Kafka thinks of their position does not matter."""
        with self._lock:
            for partition in assigned:
                self._kafka.pause(partition)
                self._kafka.seek(partition, 0)
                self._starting.add(partition.partition)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Store what is counted, if it can be done at once; else the next owner counts it again."""
        with self._lock:
            with suppress(StoreUnavailable):
                self._settle()
                self._flush()
            self._forget(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Somebody else may have them by now."""
        with self._lock:
            self._forget(lost)

    # Ours

    def _turn(self, *, is_leaving: bool = False) -> None:
        try:
            polled = self._kafka.poll(timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            raise CannotCount(
                f"the log no longer has what is to be counted next ({error}); {skip_advice(self._epoch.number)}"
            ) from error
        finish_joining(self._kafka)
        log_starts = self._log_starts()
        with self._lock:
            for partition, records in polled.items():
                self._keep(partition.partition, records)
            moved = self._work(log_starts, is_leaving)
            self._show()
        if moved:
            self._commit(moved)

    def _log_starts(self) -> dict[TopicPartition, int]:
        """Where the logs of partitions begin that are to be started."""
        starting = [TopicPartition(self._epoch.topic, number) for number in self._starting.copy()]
        if not starting or self._clock() < self._retry_at:
            return {}
        try:
            self._check_topic()
            starts: dict[TopicPartition, int] = self._kafka.beginning_offsets(starting)
        except StoreUnavailable as error:
            self._wait(error)
            return {}
        return starts

    def _keep(self, shard: int, records: list[ConsumerRecord]) -> None:
        # Of a shard that was lost and came back since, these may be the wrong ones.
        if shard in self._positions:
            self._polled[shard] = self._polled.get(shard, []) + records
            self._metrics.records.inc(len(records))

    def _work(self, log_starts: dict[TopicPartition, int], is_leaving: bool) -> dict[int, int]:
        """All that can be done now; the positions that moved."""
        if self._clock() < self._retry_at:
            return {}
        try:
            self._start(log_starts)
            self._settle()
            is_due = is_leaving or self._unflushed >= FLUSH_RECORDS or self._clock() >= self._flush_at
            moved = self._flush() if is_due else {}
        except StoreUnavailable as error:
            self._wait(error)
            return {}
        self._each_assigned(self._kafka.resume, self._positions)
        return moved

    def _wait(self, error: StoreUnavailable) -> None:
        """Poll on with everything paused, so that the group keeps us, and try again later."""
        log.warning("counting waits: %s", error)
        self._metrics.failures.inc()
        self._retry_at = self._clock() + RETRY_SECONDS
        self._each_assigned(self._kafka.pause, self._positions)

    def _start(self, log_starts: dict[TopicPartition, int]) -> None:
        for partition, log_start in log_starts.items():
            shard = partition.partition
            if shard not in self._starting:  # revoked meanwhile
                continue
            position = self._counting.start(shard, self._epoch.start_offsets.get(shard, 0))
            if log_start > position:
                raise CannotCount(
                    f"the log of shard {shard} begins at offset {log_start}, and {position} is to be counted next: "
                    f"what lies between has been deleted; {skip_advice(self._epoch.number)}"
                )
            self._starting.remove(shard)
            self._positions[shard] = position
            self._each_assigned(partial(self._kafka.seek, offset=position), [shard])
            log.info("shard %d is counted from offset %d on", shard, position)

    def _settle(self) -> None:
        for shard in list(self._polled):
            events, undeliverable = self._decode(shard, self._polled[shard])
            records = self._polled.pop(shard)
            self._undeliverable.setdefault(shard, []).extend(undeliverable)
            duplicates = self._counting.take(shard, events, records[-1].offset + 1)
            self._metrics.duplicates.inc(duplicates)
            self._unflushed += len(records)
        self._counting.settle()

    def _decode(
        self, shard: int, records: Sequence[ConsumerRecord]
    ) -> tuple[list[tuple[int, BannerEvent]], list[DeadLetter]]:
        """(offset, event) of those that can be counted, and the others as dead letters."""
        events, undeliverable = [], []
        decode = self._decoder.decode_message
        for record in records:
            try:
                event = decode(record.value)
            except UndecodableEvent as error:
                undeliverable.append(DeadLetter.of(record, str(error)))
                continue
            reason = refusal(event, shard)
            if reason is None:
                events.append((record.offset, event))
            else:
                undeliverable.append(DeadLetter.of(record, reason))
        return events, undeliverable

    def _flush(self) -> dict[int, int]:
        letters = [letter for several in self._undeliverable.values() for letter in several]
        with self._metrics.flush_seconds.time():
            if letters:
                self._dead_letters.put(letters)
                self._undeliverable.clear()
                self._metrics.dead_letters.inc(len(letters))
            moved = self._counting.flush()
        self._unflushed, self._flush_at = 0, self._clock() + FLUSH_SECONDS
        self._positions.update(moved)
        if moved:
            self._metrics.progressed()
        return moved

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        shards = [partition.partition for partition in partitions]
        self._counting.forget(shards)
        for shard in shards:
            self._starting.discard(shard)
            self._positions.pop(shard, None)
            self._polled.pop(shard, None)
            self._undeliverable.pop(shard, None)

    def _each_assigned(self, act: Callable[[TopicPartition], object], shards: Iterable[int]) -> None:
        for shard in shards:
            # Just revoked: Kafka's thread waits for the lock to say so.
            with suppress(KeyError, ValueError, IllegalStateError):
                act(TopicPartition(self._epoch.topic, shard))

    def _commit(self, moved: dict[int, int]) -> None:
        """For tools that show lag; nothing here reads it."""
        offsets = {
            TopicPartition(self._epoch.topic, shard): OffsetAndMetadata(offset, "", -1)
            for shard, offset in moved.items()
        }
        with suppress(KafkaError):
            self._kafka.commit_async(offsets)

    def _show(self) -> None:
        ends = {}
        for shard in self._positions:
            with suppress(KeyError, ValueError, IllegalStateError):
                end = self._kafka.highwater(TopicPartition(self._epoch.topic, shard))
                ends[shard] = self._positions[shard] if end is None else end
        self._metrics.show(self._positions, ends)
        if not self._starting and all(self._positions[shard] >= end for shard, end in ends.items()):
            self._metrics.progressed()

    def _is_done(self) -> bool:
        return not self._polled and not self._unflushed

"""A process of the consumer group: one epoch after the other, until it is told to end."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import TypeVar

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError

from bandit.counting import Counting
from bandit.model import Epoch
from kafka_ingest.client import KafkaOptions
from kafka_ingest.consumer_metrics import ConsumerMetrics, serve
from kafka_ingest.counting_consumer import CountingConsumer
from kafka_ingest.epoch_topic import CannotCount, check_topic
from kafka_ingest.opening import cassandra_session, dead_letter_topic, options, schemas
from kafka_ingest.reaching import unavailable
from kafka_ingest.wire import Decoder
from settings import Settings
from storage.base import StoreUnavailable
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_epochs import active_epoch, epochs
from storage.cassandra_session import CassandraSession

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
EPOCH_SECONDS = 5.0
"""How often it looks which epoch is the active one."""
METADATA_MS = 10_000
"""How soon partitions that were added are found."""
POLL_RECORDS = 2_000
CLOSE_MS = 5_000

Result = TypeVar("Result")


class LeftGroup(Exception):
    """The group goes on without this process; started again, it joins anew."""


def consume(settings: Settings, epoch_number: int | None, stop: threading.Event) -> None:
    """Count one epoch after the other until `stop`. Raises CannotCount, LeftGroup, MissingPackage."""
    session = cassandra_session(settings)
    metrics = ConsumerMetrics()
    server = _serve(metrics, settings.consumer.metrics_host, settings.consumer.metrics_port)
    try:
        while not stop.is_set():
            epoch = _patiently(lambda: find_epoch(session, epoch_number), stop.is_set)
            if epoch is not None:
                count_epoch(settings, session, epoch, metrics, _until(session, epoch, epoch_number, stop))
    finally:
        server.shutdown()
        server.server_close()
        session.close()


def _serve(metrics: ConsumerMetrics, host: str, port: int) -> ThreadingHTTPServer:
    try:
        return serve(metrics, host, port)
    except OSError as error:
        raise CannotCount(
            f"/metrics cannot be served on {host}:{port} ({error.strerror}); change consumer.metrics_port, "
            "of which each consumer on a machine needs its own"
        ) from error


def find_epoch(session: CassandraSession, number: int | None) -> Epoch:
    """The epoch of this number, or the active one. Raises CannotCount, StoreUnavailable."""
    if number is None:
        active = active_epoch(session)
        if active is None:
            raise StoreUnavailable("no epoch is published; run `python -m kafka_ingest.epochs create`, then `publish`")
        return active
    for epoch in epochs(session):
        if epoch.number == number:
            return epoch
    raise CannotCount(f"there is no epoch {number}; `python -m kafka_ingest.epochs list` shows those there are")


def count_epoch(
    settings: Settings, session: CassandraSession, epoch: Epoch, metrics: ConsumerMetrics, stop: Callable[[], bool]
) -> None:
    """Be a member of the epoch's group until `stop` says so. Raises CannotCount, LeftGroup."""
    kafka = options(settings)
    group, instance = f"{epoch.topic}-counting-{epoch.number}", settings.consumer.instance or socket.gethostname()
    letters = dead_letter_topic(settings)
    consumer = _patiently(lambda: open_consumer(kafka, group, instance, settings.consumer.session_timeout_ms), stop)
    if consumer is None:
        return
    try:
        counting = Counting(CassandraCounting(session, epoch.number), epoch.started_us)
        member = CountingConsumer(
            consumer, epoch, counting, Decoder(schemas(settings)), letters, metrics, lambda: check_topic(kafka, epoch)
        )
        log.info("counting epoch %d of %s as %s", epoch.number, epoch.topic, instance)
        member.run(stop)
    except KafkaError as error:
        raise LeftGroup(f"{type(error).__name__}: {error}") from error
    finally:
        consumer.close(timeout_ms=CLOSE_MS)
        letters.close()
    leave(kafka, group, instance)


def open_consumer(kafka: KafkaOptions, group: str, instance: str, session_timeout_ms: int) -> KafkaConsumer:
    """A static member: it keeps its partitions when it is started again within the session timeout.

    Raises StoreUnavailable.
    """
    try:
        return KafkaConsumer(
            **kafka.arguments(),
            group_id=group,
            group_instance_id=instance,
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=session_timeout_ms // 4,
            # What is counted is in Cassandra. A position that Kafka chose would lose events or count them again.
            auto_offset_reset="none",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            max_poll_records=POLL_RECORDS,
            metadata_max_age_ms=METADATA_MS,
            metrics_enabled=False,
        )
    except (KafkaError, OSError) as error:
        raise unavailable(kafka, error) from error


def leave(kafka: KafkaOptions, group: str, instance: str) -> None:
    """A static member leaves only when it is removed; else the others would wait for it."""
    with suppress(KafkaError, OSError):
        admin = KafkaAdminClient(**kafka.arguments())
        try:
            admin.remove_group_members(group, [MemberToRemove(group_instance_id=instance)])
        finally:
            admin.close()


def _patiently(act: Callable[[], Result], stop: Callable[[], bool]) -> Result | None:
    """What it answers, tried again while something is away; None when told to stop before."""
    while not stop():
        try:
            return act()
        except StoreUnavailable as error:
            log.warning("waiting: %s", error)
            time.sleep(RETRY_SECONDS)
    return None


def _until(session: CassandraSession, epoch: Epoch, wanted: int | None, stop: threading.Event) -> Callable[[], bool]:
    """Says when to stop counting this epoch: when told, or when another one is published."""
    look_at = time.monotonic() + EPOCH_SECONDS

    def is_over() -> bool:
        nonlocal look_at
        if stop.is_set():
            return True
        if wanted is not None or time.monotonic() < look_at:
            return False
        look_at = time.monotonic() + EPOCH_SECONDS
        with suppress(StoreUnavailable):
            active = active_epoch(session)
            return active is not None and active.number != epoch.number
        return False

    return is_over

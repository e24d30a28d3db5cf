"""From the settings to what speaks to Kafka; for entry points."""

import time
from typing import TYPE_CHECKING

from kafka_ingest.client import KafkaOptions
from kafka_ingest.exchange import Endpoint
from kafka_ingest.registry import Schemas, open_schemas
from settings import Settings
from storage.base import MissingPackage, StoreUnavailable
from storage.opening import cassandra_options

if TYPE_CHECKING:
    from kafka_ingest.dead_letter_topic import DeadLetterTopic
    from kafka_ingest.forwarder import Forwarder
    from kafka_ingest.rest_forwarder import RestForwarder
    from storage.cassandra_session import CassandraSession

INSTALL = "kafka-python is missing; run: .venv/bin/python -m pip install -r requirements.txt"


def options(settings: Settings) -> KafkaOptions:
    """Where Kafka is and how to log in. Raises MissingPackage."""
    try:
        import kafka  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackage(INSTALL) from error
    given = settings.kafka
    return KafkaOptions(
        given.bootstrap,
        given.security_protocol,
        given.sasl_mechanism,
        given.sasl_username,
        given.sasl_password,
        given.ssl_cafile,
        given.ssl_certfile,
        given.ssl_keyfile,
    )


def schemas(settings: Settings) -> Schemas:
    """The registry, or what is shipped."""
    return open_schemas(settings.kafka.registry_url, settings.kafka.registry_username, settings.kafka.registry_password)


def sink(settings: Settings) -> "Forwarder | RestForwarder":
    """Where the drain delivers. Raises MissingPackage."""
    return _rest_forwarder(settings) if settings.kafka.transport == "rest" else _forwarder(settings)


def problem(settings: Settings) -> str | None:
    """Why the drain cannot deliver now, if it cannot; nothing is written. Raises MissingPackage."""
    try:
        sink(settings).partition_count()
    except StoreUnavailable as error:
        return str(error)
    return None


def _forwarder(settings: Settings) -> "Forwarder":
    given = options(settings)
    from kafka_ingest.forwarder import Forwarder

    window_records = settings.kafka.window_records
    return Forwarder(given, settings.kafka.topic, schemas(settings), window_records=window_records, now_us=_now_us)


def _rest_forwarder(settings: Settings) -> "RestForwarder":
    from kafka_ingest.rest_forwarder import RestForwarder

    given = settings.kafka
    proxy = Endpoint(given.rest_url, given.rest_username, given.rest_password)
    return RestForwarder(proxy, given.topic, schemas(settings), window_records=given.window_records, now_us=_now_us)


def _now_us() -> int:
    return time.time_ns() // 1000


def dead_letter_topic(settings: Settings) -> "DeadLetterTopic":
    """Where a consumer sets messages aside. Raises MissingPackage."""
    given = options(settings)
    from kafka_ingest.dead_letter_topic import DeadLetterTopic

    return DeadLetterTopic(given, settings.kafka.dead_letter_topic)


def cassandra_session(settings: Settings) -> "CassandraSession":
    """Where counts are kept; connects when first used. Raises MissingPackage."""
    options = cassandra_options(settings)
    from storage.cassandra_session import CassandraSession

    return CassandraSession(options)

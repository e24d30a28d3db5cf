"""From the settings to what speaks to Kafka; for entry points."""

import time
from typing import TYPE_CHECKING

from kafka_ingest.client import KafkaOptions
from kafka_ingest.registry import Schemas, open_schemas
from settings import Settings
from storage.base import EventSink

if TYPE_CHECKING:
    from kafka_ingest.producing import TopicWriter

INSTALL = "kafka-python is missing; run: .venv/bin/python -m pip install -r requirements.txt"


class MissingPackage(Exception):
    """What is chosen needs a package that is not installed; the message says how to install it."""


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


def sink(settings: Settings) -> EventSink:
    """Where the drain delivers. Raises MissingPackage."""
    from kafka_ingest.forwarder import Forwarder

    return Forwarder(
        options(settings),
        settings.kafka.topic,
        schemas(settings),
        window_records=settings.kafka.window_records,
        now_us=lambda: time.time_ns() // 1000,
    )


def dead_letter_writer(settings: Settings) -> "TopicWriter":
    """Writes into the dead-letter topic. Raises MissingPackage."""
    from kafka_ingest.producing import TopicWriter

    return TopicWriter(options(settings), settings.kafka.dead_letter_topic)

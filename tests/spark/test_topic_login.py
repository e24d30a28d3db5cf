"""Spark in front of a Kafka that wants a certificate and a password over TLS: our settings in the words of Java."""

from collections.abc import Iterator
from typing import Any

import pytest

from kafka_ingest.client import KafkaOptions
from kafka_ingest.opening import options
from settings import load
from spark_jobs.topic import kafka_options, read_topic
from tests.guarded_kafka import PLAIN_PASSWORD, GuardedKafka
from tests.kafka.topic import Topic
from tests.services_fixtures import running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    yield from running(GuardedKafka(tmp_path_factory.mktemp("guarded")))


@pytest.mark.parametrize("mechanism", [{}, {"SASL_MECHANISM": "PLAIN", "SASL_PASSWORD": PLAIN_PASSWORD}])
def test_spark_is_let_in_with_the_settings_of_everything_else(
    spark: Any, guarded: GuardedKafka, mechanism: dict[str, str]
) -> None:
    topic = Topic(guarded.bootstrap, partitions=1).create()
    topic.put(b"one", b"two")
    given = guarded.settings() | {f"BANNER_KAFKA_{name}": value for name, value in mechanism.items()}
    settings = load({**given, "BANNER_CONFIG": "/dev/null"})
    rows = read_topic(spark, kafka_options(options(settings)), topic.name).select("value").collect()
    assert [bytes(row["value"]) for row in rows] == [b"one", b"two"]


def test_without_tls_and_login_there_is_nothing_to_say() -> None:
    assert kafka_options(KafkaOptions("one:9092, two:9092")) == {
        "kafka.bootstrap.servers": "one:9092, two:9092",
        "kafka.security.protocol": "PLAINTEXT",
    }

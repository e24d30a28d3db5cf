"""Views and clicks that others received, from a real Kafka into the journal."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bandit.model import Configuration, Slot, Tenant
from kafka_ingest.client import KafkaOptions
from kafka_ingest.dead_letter_topic import DeadLetterTopic
from kafka_ingest.intake_consumer import IntakeConsumer, open_consumer
from kafka_ingest.intake_events import Intake
from kafka_ingest.intake_message import IntakeDecoder
from kafka_ingest.registry import ShippedSchemas
from services.kafka import Kafka
from serving.verdict import Judge
from storage.base import StoreUnavailable
from storage.journal import Journal
from storage.sqlite import SqliteStore
from tests.kafka.intake_messages import CONFIGURATION, KEYRING, NOW_US, SECOND_US, events, intake, message, token
from tests.kafka.topic import Topic
from tests.service_process import ROOT, wait_until

SECRETS = {"BANNER_SECRETS_TOKEN_KEYS": f"1:{(b'k' * 32).hex()}", "BANNER_SECRETS_CUSTOMER_KEY": (b"c" * 32).hex()}
"""KEYRING, as the environment holds it."""


class Running:
    """The consumer in a thread of this process."""

    def __init__(self, kafka: Kafka, directory: Path) -> None:
        self.topic, self.dead = Topic(kafka.bootstrap, partitions=2).create(), Topic(kafka.bootstrap).create()
        self._options = KafkaOptions(kafka.bootstrap)
        self.directory = directory

    @contextmanager
    def consuming(self, one: Intake) -> Iterator[None]:
        stop = threading.Event()
        letters = DeadLetterTopic(self._options, self.dead.name)
        with closing(open_consumer(self._options, self.topic.name)) as consumer:
            thread = threading.Thread(target=IntakeConsumer(consumer, one, letters).run, args=(stop,))
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
                letters.close()


@pytest.fixture
def running(kafka: Kafka, tmp_path: Path) -> Running:
    return Running(kafka, tmp_path / "journal")


def numbers(directory: Path) -> Counter[int]:
    """How often each impression is journaled."""
    return Counter(int.from_bytes(event.impression_id[8:], "big") for event in events(directory))


def test_good_messages_are_journaled_and_bad_ones_set_aside_in_between(running: Running) -> None:
    bad = [b"", b"{}", b"\0\0\0\0\1"]
    with intake(running.directory) as one, running.consuming(one):
        running.topic.put(message(token(1)), bad[0], message(token(2)), bad[1], partition=0)
        running.topic.put(bad[2], message(token(3)), partition=1)
        wait_until(lambda: len(numbers(running.directory)) == 3, "journaled", 60)
        wait_until(lambda: len(running.dead.messages()) == 3, "set aside", 60)
    assert sorted(map(repr, running.dead.values())) == sorted(map(repr, bad))
    (letter,) = [one for one in running.dead.messages() if one.value == bad[2]]
    assert letter.headers["topic"] == running.topic.name.encode()
    assert (letter.headers["partition"], letter.headers["offset"]) == (b"1", b"0")


def test_what_was_committed_is_not_read_again(running: Running) -> None:
    with intake(running.directory) as one:
        with running.consuming(one):
            running.topic.put(*(message(token(number)) for number in range(50)))
            wait_until(lambda: len(numbers(running.directory)) == 50, "journaled", 60)
        with running.consuming(one):
            running.topic.put(*(message(token(number)) for number in range(50, 60)))
            wait_until(lambda: len(numbers(running.directory)) == 60, "journaled", 60)
    assert set(numbers(running.directory).values()) == {1}


def test_a_full_journal_makes_it_wait_and_go_on_where_it_was(running: Running, tmp_path: Path) -> None:
    ballast = running.directory / "ballast.dead"
    running.directory.mkdir()
    ballast.write_bytes(bytes(1 << 20))
    journal = Journal.open(running.directory, segment_bytes=10_000, max_bytes=(1 << 20) + 4_000)
    judge = Judge(impressions_per_minute=1, clicks_per_minute=1, too_fast_us=0)
    one = Intake(IntakeDecoder(ShippedSchemas()), KEYRING, judge, journal, lambda: CONFIGURATION, clock=lambda: NOW_US)
    with running.consuming(one):
        running.topic.put(*(message(token(number)) for number in range(100)))
        wait_until(lambda: len(numbers(running.directory)) > 5, "journaling", 60)
        ballast.unlink()
        wait_until(lambda: len(numbers(running.directory)) == 100, "journaled", 60)
    journal.close()
    assert set(numbers(running.directory).values()) == {1}


def test_nothing_is_journaled_or_passed_over_while_no_configuration_is_known(running: Running) -> None:
    known = threading.Event()
    refused: list[int] = []

    def configuration() -> Configuration:
        if not known.is_set():
            refused.append(1)
            raise StoreUnavailable("the store is away")
        return CONFIGURATION

    with intake(running.directory) as one:
        one._configuration = configuration
        with running.consuming(one):
            running.topic.put(message(token(1)))
            wait_until(lambda: len(refused) > 1, "tried again", 60)
            assert numbers(running.directory) == {}
            known.set()
            wait_until(lambda: numbers(running.directory) == {1: 1}, "journaled", 60)


@pytest.mark.slow
def test_the_command_takes_in_what_comes_until_it_is_told_to_end(running: Running, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    store = SqliteStore.open(data / "banner.db")
    store.put_tenant("shop", Tenant("shop"))
    store.put_slot("shop", Slot("home", attribution_window_seconds=10))
    store.close()
    environ = {
        **os.environ,
        **SECRETS,
        "BANNER_DATA_DIRECTORY": str(data),
        "BANNER_KAFKA_BOOTSTRAP": running.topic.bootstrap,
        "BANNER_KAFKA_INTAKE_TOPIC": running.topic.name,
        "BANNER_KAFKA_DEAD_LETTER_TOPIC": running.dead.name,
    }
    now_us = time.time_ns() // 1000
    texts = [token(number, age_us=age * SECOND_US, now_us=now_us) for number, age in enumerate((5, 15))]
    log = tmp_path / "intake.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "kafka_ingest.intake"], cwd=ROOT, env=environ, stderr=out)
    try:
        running.topic.put(*(message(text, received_us=now_us) for text in texts), b"junk")
        wait_until(lambda: len(numbers(data / "journal")) == 2, f"journaled, see {log}", 60)
        assert {event.verdict for event in events(data / "journal")} == {"accepted", "late"}
        assert running.dead.values() == [b"junk"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()

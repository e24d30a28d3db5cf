"""The dead-letter topic and the command that looks after it, on a real broker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from kafka_ingest import dead_letters, topic_making, topics
from kafka_ingest.client import KafkaOptions
from kafka_ingest.dead_letter_topic import DeadLetter, DeadLetterTopic
from services.kafka import Kafka
from storage.base import StoreUnavailable
from tests.kafka.topic import Topic, admin
from tests.service_process import ROOT, free_port

POISON = [b"", b"\0", b"\1\0\0\0\1abc", None, bytes(range(256)), '{"kind": "\u20ac"}'.encode()]


class Setting:
    """Topics of one installation, and its command."""

    def __init__(self, kafka: Kafka, directory: Path) -> None:
        self.events = Topic(kafka.bootstrap, partitions=3)
        self.dead = Topic(kafka.bootstrap, partitions=2)
        self.intake = Topic(kafka.bootstrap)
        self.options = KafkaOptions(kafka.bootstrap)
        self.config = directory / "config.ini"
        self.config.write_text("")
        self.environ = {
            "BANNER_CONFIG": str(self.config),
            "BANNER_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "BANNER_KAFKA_TOPIC": self.events.name,
            "BANNER_KAFKA_DEAD_LETTER_TOPIC": self.dead.name,
            "BANNER_KAFKA_INTAKE_TOPIC": self.intake.name,
        }

    def command(self, word: str) -> int:
        return dead_letters.main([word], self.environ)

    def make(self, *arguments: str) -> int:
        return topics.main(arguments, self.environ)


@pytest.fixture
def setting(kafka: Kafka, tmp_path: Path) -> Setting:
    return Setting(kafka, tmp_path)


def fetched(topic: Topic) -> list[ConsumerRecord]:
    """All records of the partitions, as a consumer gets them."""
    consumer = KafkaConsumer(bootstrap_servers=topic.bootstrap.split(","), enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic.name, number) for number in consumer.partitions_for_topic(topic.name)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends, found = consumer.end_offsets(partitions), []
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            found += [one for records in consumer.poll(timeout_ms=500).values() for one in records]
        return found
    finally:
        consumer.close()


def set_aside(setting: Setting, values: list[bytes | None]) -> None:
    """What a consumer does with messages that it cannot read."""
    setting.events.create()
    setting.dead.create()
    setting.events.put(*values, partition=1)
    topic = DeadLetterTopic(setting.options, setting.dead.name)
    topic.put([DeadLetter.of(record, f"unreadable {record.offset}\n") for record in fetched(setting.events)])
    topic.close()


def test_a_dead_letter_is_the_message_unchanged_with_its_place_and_reason_in_the_headers(setting: Setting) -> None:
    set_aside(setting, POISON)
    written = {message.headers["offset"]: message for message in setting.dead.messages()}
    assert [written[str(number).encode()].value for number in range(len(POISON))] == POISON
    assert written[b"2"].headers == {
        "reason": b"unreadable 2\n",
        "topic": setting.events.name.encode(),
        "partition": b"1",
        "offset": b"2",
    }


def test_the_list_has_a_line_for_each(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    set_aside(setting, POISON)
    assert setting.command("list") == 0
    title, *lines, total = capsys.readouterr().out.splitlines()
    assert title.split() == ["set", "aside", "(UTC)", "topic", "partition", "offset", "bytes", "reason"]
    found = sorted(line.split()[2:] for line in lines)
    assert found[4] == [setting.events.name, "1", "4", "256", "unreadable", "4?"]
    assert total == f"{len(POISON)} dead letters"


def test_a_replay_writes_each_into_its_partition_again_and_is_remembered(
    setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    set_aside(setting, POISON)
    assert setting.command("replay") == 0
    assert sorted(map(repr, setting.events.values(1))) == sorted(map(repr, POISON * 2))
    assert capsys.readouterr().out == f"{len(POISON)} dead letters handed to their topics\n"
    for word in ("list", "replay"):
        assert setting.command(word) == 0
    assert capsys.readouterr().out == "no dead letters\nno dead letters handed to their topics\n"
    set_aside_again = DeadLetterTopic(setting.options, setting.dead.name)
    set_aside_again.put([DeadLetter(None, b"new", "why", setting.events.name, 0, 7)])
    set_aside_again.close()
    assert setting.command("replay") == 0
    assert setting.events.values(0) == [b"new"]


def test_a_message_that_somebody_else_put_into_the_topic_is_told_and_passed_over(
    setting: Setting, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    set_aside(setting, [b"one"])
    setting.dead.put(b"stranger")
    assert setting.command("replay") == 0
    assert capsys.readouterr().out == "1 dead letter handed to their topics\n"
    assert "no dead letter of ours" in caplog.text


def test_a_message_as_large_as_its_topic_takes_fits_the_dead_letter_topic(setting: Setting) -> None:
    assert setting.make("--partitions", "2") == 0
    large = bytes(1 << 20)
    topic = DeadLetterTopic(setting.options, setting.dead.name)
    topic.put([DeadLetter(None, large, "r" * 5000, setting.events.name, 0, 0)])
    topic.close()
    assert setting.dead.values() == [large]


def test_a_dead_letter_that_cannot_be_written_stops_its_consumer(setting: Setting) -> None:
    Topic(setting.dead.bootstrap, name=setting.dead.name, max_message_bytes="1000").create()
    topic = DeadLetterTopic(setting.options, setting.dead.name)
    with pytest.raises(StoreUnavailable, match=r"max\.message\.bytes"):
        topic.put([DeadLetter(None, bytes(2000), "why", setting.events.name, 0, 0)])
    topic.close()


def test_without_the_topic_the_command_says_how_to_make_it(
    setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setting.command("list") == 1
    assert "python -m kafka_ingest.topics" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["dead_letters", "topics"])
def test_without_kafka_the_commands_say_so(setting: Setting, module: str) -> None:
    setting.environ["BANNER_KAFKA_BOOTSTRAP"] = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", f"kafka_ingest.{module}", *(["list"] if module == "dead_letters" else [])]
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | setting.environ, capture_output=True, text=True)
    assert answer.returncode == 1
    assert setting.environ["BANNER_KAFKA_BOOTSTRAP"] in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("module", [dead_letters, topics])
def test_wrong_settings_end_the_commands(setting: Setting, module: object, capsys: pytest.CaptureFixture[str]) -> None:
    setting.environ["BANNER_KAFKA_TRANSPORT"] = "pigeon"
    assert (setting.command("list") if module is dead_letters else setting.make()) == 2
    assert "kafka.transport" in capsys.readouterr().err


def test_topics_are_made_as_counting_needs_them(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    assert setting.make("--partitions", "3") == 0
    with admin(setting.options.bootstrap) as client:
        found = topic_making.configuration(client, setting.events.name)
    assert {name: found[name] for name in topic_making.REQUIRED} == topic_making.REQUIRED
    assert len(setting.events.replicas_in_sync()) == 1
    assert setting.make("--partitions", "9") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all topics are there"


def test_a_topic_that_could_lose_events_is_named(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    Topic(setting.options.bootstrap, name=setting.events.name, cleanup_policy="compact").create()
    assert setting.make() == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "must be" in line]
    assert line == f"{setting.events.name}: cleanup.policy is compact; it must be delete"

"""Everything of ours that speaks to Kafka, in front of one that wants a certificate and a password over TLS."""

import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from kafka_ingest import dead_letters, epochs, intake, opening, topics
from kafka_ingest.forwarder import Forwarder
from settings import ROOT, load
from storage.base import Record, StoreUnavailable
from storage.sqlite import SqliteStore
from tests.certificates import make_certificate
from tests.counting.conftest import MakePlace
from tests.counting.group import Place
from tests.guarded_kafka import PLAIN_PASSWORD, GuardedKafka
from tests.kafka.drain_process import DrainProcess, Writer
from tests.kafka.topic import Topic
from tests.service_process import free_port, wait_until
from tests.services_fixtures import running
from tests.storage.events import Log, served

# kafka-python leaves the sockets of connections that failed to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <s:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]

Capture = pytest.CaptureFixture[str]
Command = Callable[[Mapping[str, str]], int]
KEYS = {"BANNER_SECRETS_TOKEN_KEYS": f"1:{'0a' * 32}", "BANNER_SECRETS_CUSTOMER_KEY": "0b" * 32}
COMMANDS: dict[str, Command] = {
    "topics": lambda environ: topics.main([], environ),
    "epochs": lambda environ: epochs.main(["create"], environ),
    "dead_letters": lambda environ: dead_letters.main(["list"], environ),
}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    """Instead of the one that lets everybody in."""
    yield from running(GuardedKafka(tmp_path_factory.mktemp("guarded")))


@pytest.fixture
def collected() -> Iterator[None]:
    """Those sockets, before another test is blamed for them."""
    log = logging.getLogger("kafka")
    before = log.level
    log.setLevel(logging.CRITICAL)  # records of errors would hold them
    yield
    log.setLevel(before)
    gc.collect()


def environment(one: Place, kafka: GuardedKafka) -> dict[str, str]:
    """As one sets it in production."""
    return one.environment() | KEYS | {"BANNER_STORAGE_BACKEND": "cassandra"} | kafka.settings()


def check(environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "app.py", "check"]
    return subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, text=True)


def test_an_event_gets_from_the_journal_into_the_counts_and_a_strange_one_aside(
    place: MakePlace, kafka: GuardedKafka, tmp_path: Path, capsys: Capture
) -> None:
    one = place(partitions=1)
    environ = environment(one, kafka)
    assert topics.main(["--partitions", "1"], environ) == 0
    assert epochs.main(["publish", "1"], environ) == 0
    answer = check(environ)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.splitlines()[-1] == f"topic {one.topic.name} in Kafka can be reached"
    given = {name.removeprefix("BANNER_").lower(): value for name, value in kafka.settings().items()}
    with DrainProcess(tmp_path, one.topic, **given) as drain:
        with Writer(drain.journal_directory, per_second=1, shards=1) as writer:
            writer.write(0)
        drain.wait_until_drained()
    one.topic.put(b"strange")
    consumer = one.consumer(**kafka.settings())
    one.wait_until_counted(len(one.topic.values()))
    assert consumer.metric("dead_letters_total") == 1
    assert consumer.stop() == 0
    assert sum(row[0] for row in one.session.run("SELECT served FROM counts", ())) == len(writer.written)
    capsys.readouterr()
    for word, said in (("list", "1 dead letter"), ("replay", "1 dead letter handed to their topics")):
        assert dead_letters.main([word], environ) == 0
        assert capsys.readouterr().out.splitlines()[-1] == said
    assert one.topic.values()[-1] == b"strange"


@contextmanager
def taking_in(environ: Mapping[str, str]) -> Iterator[None]:
    """The intake, in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=intake.run, args=(load(environ), stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def with_intake(kafka: GuardedKafka, tmp_path: Path) -> dict[str, str]:
    """Settings of an intake with topics of its own."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    SqliteStore.open(data / "banner.db").close()
    names = ("TOPIC", "INTAKE_TOPIC", "DEAD_LETTER_TOPIC")
    given = {f"BANNER_KAFKA_{name}": Topic(kafka.bootstrap, partitions=1).create().name for name in names}
    return {**given, **KEYS, **kafka.settings(), "BANNER_DATA_DIRECTORY": str(data), "BANNER_CONFIG": "/dev/null"}


def test_the_intake_reads_its_topic_and_sets_aside_what_it_cannot_take(
    kafka: GuardedKafka, with_intake: dict[str, str]
) -> None:
    reported, dead = (
        Topic(kafka.bootstrap, name=with_intake[f"BANNER_KAFKA_{name}"])
        for name in ("INTAKE_TOPIC", "DEAD_LETTER_TOPIC")
    )
    reported.put(b"junk")
    with taking_in(with_intake):
        wait_until(lambda: dead.values() == [b"junk"], "set aside", 60)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafka_ingest.client.CONNECT_SECONDS", 2.0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_the_password_is_wrong(
    place: MakePlace, kafka: GuardedKafka, impatient: None, command: str, capsys: Capture
) -> None:
    one = place(partitions=1)
    environ = environment(one, kafka) | {"BANNER_KAFKA_SASL_PASSWORD": "guessed"}
    assert COMMANDS[command](environ) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"Kafka at {kafka.guarded}" in said and "kafka.sasl_username and kafka.sasl_password right?" in said


def wrong_settings(kafka: GuardedKafka, directory: Path) -> Iterator[tuple[dict[str, str], str]]:
    """What somebody may have set, and the setting he has to look at."""
    make_certificate(directory / "other.p12", directory / "other.pem")
    yield {"SSL_CAFILE": str(directory / "other.pem")}, "kafka.ssl_cafile has to name the authority"
    yield {"SSL_CAFILE": str(directory / "missing.pem")}, "are kafka.ssl_cafile, "
    yield {"SSL_CERTFILE": "", "SSL_KEYFILE": ""}, "kafka.ssl_certfile"
    # The broker's TLS alert may be heard before it hangs up, or not.
    yield {"SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, " kafka.security_protocol"
    yield {"BOOTSTRAP": kafka.bootstrap}, "is kafka.security_protocol right?"
    yield {"SASL_MECHANISM": "SCRAM-SHA-512"}, "kafka.sasl_mechanism"
    yield {"SASL_MECHANISM": "PLAIN"}, "kafka.sasl_password"
    yield {"SECURITY_PROTOCOL": "SSL"}, "is kafka.security_protocol right?"
    yield {"BOOTSTRAP": kafka.guarded.replace("127.0.0.1", "localhost")}, "kafka.bootstrap has to name brokers"
    yield {"BOOTSTRAP": f"127.0.0.1:{free_port()}"}, "ECONNREFUSED"


def test_whatever_is_wrong_is_said_in_one_line_with_the_settings_to_look_at(
    kafka: GuardedKafka, impatient: None, with_intake: dict[str, str], tmp_path: Path, capsys: Capture
) -> None:
    for wrong, named in wrong_settings(kafka, tmp_path):
        environ = with_intake | {f"BANNER_KAFKA_{name}": value for name, value in wrong.items()}
        assert topics.main([], environ) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and named in said, (wrong, said)


def test_a_password_by_plain_is_taken_too(kafka: GuardedKafka, with_intake: dict[str, str], capsys: Capture) -> None:
    plain = {"BANNER_KAFKA_SASL_MECHANISM": "PLAIN", "BANNER_KAFKA_SASL_PASSWORD": PLAIN_PASSWORD}
    assert topics.main([], with_intake | plain) == 0
    assert "all topics are there" in capsys.readouterr().out


def test_a_broker_that_stands_still_is_unavailable_and_then_works_again(
    kafka: GuardedKafka, impatient: None, with_intake: dict[str, str]
) -> None:
    sink, records = opening._forwarder(load(with_intake)), Log().records(served(1, served_at=time.time_ns() // 1000))
    kafka.freeze(0)
    at_the_latest = threading.Timer(60, kafka.thaw, [0])
    at_the_latest.start()
    with pytest.raises(StoreUnavailable, match=kafka.guarded):
        sink.deliver(records)
    assert at_the_latest.is_alive(), "it waits as long as the broker stands still"
    at_the_latest.cancel()
    kafka.thaw(0)
    wait_until(lambda: is_delivered(sink, records), "delivered", 60)
    sink.close()


def is_delivered(sink: Forwarder, records: list[Record]) -> bool:
    try:
        return sink.deliver(records) == []
    except StoreUnavailable:
        return False


def test_what_goes_on_by_itself_waits_and_says_why(
    place: MakePlace,
    kafka: GuardedKafka,
    impatient: None,
    with_intake: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, wrong, advice = place(partitions=1), {"BANNER_KAFKA_SASL_PASSWORD": "guessed"}, "kafka.sasl_password right?"
    consumer = one.consumer(**(kafka.settings() | wrong))
    with taking_in(with_intake | wrong):
        wait_until(lambda: advice in caplog.text, "said by the intake", 60)
    wait_until(lambda: advice in consumer.log_path.read_text(), "said by the consumer", 60)
    assert consumer.is_running
    answer = check(environment(one, kafka) | wrong)
    assert answer.returncode == 1
    assert advice in answer.stdout.splitlines()[-1] and "Traceback" not in answer.stderr

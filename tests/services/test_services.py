"""The launcher itself: it ends what it started, whatever happens, and finds it again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services import Missing, __main__, jars
from services.cassandra import Cassandra
from services.cluster import free_ports
from services.kafka import Kafka
from services.process import Failed, Process
from services.registry import Registry
from tests.service_process import is_running, wait_until

ROOT = Path(__file__).parent.parent.parent
SLEEP = "import sys, time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
)
START_ONE_AND_WAIT = """
import sys, time
from pathlib import Path
from services.process import Process
process = Process("sleeper", Path(sys.argv[1]), outlives=False)
process.start([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
print(process.pid, flush=True)
time.sleep(600)
"""


def sleeper(directory: Path, *, outlives: bool = False) -> Process:
    process = Process("sleeper", directory, outlives=outlives)
    process.start([sys.executable, "-c", SLEEP, str(directory)])
    return process


def test_a_server_ends_with_the_tests_even_when_those_are_killed(tmp_path: Path) -> None:
    tests = subprocess.Popen(
        [sys.executable, "-c", START_ONE_AND_WAIT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        assert is_running(pid)
        tests.kill()
    wait_until(lambda: not is_running(pid), "the server has ended")


def test_a_server_that_outlives_its_starter_is_found_and_ended_by_the_next_one(tmp_path: Path) -> None:
    first = sleeper(tmp_path, outlives=True)
    found = Process("sleeper", tmp_path, outlives=True)
    assert found.pid == first.pid is not None
    first.kill()
    assert found.pid is None


def test_an_id_that_another_program_has_by_now_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    process = Process("sleeper", tmp_path, outlives=True)
    assert process.pid is None
    process.kill()


def test_a_frozen_server_can_be_stopped(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    process.freeze()
    state = subprocess.run(["ps", "-o", "state=", "-p", str(process.pid)], capture_output=True, text=True, check=True)
    assert state.stdout.startswith("T")
    process.stop()
    assert process.pid is None


def test_a_server_that_does_not_want_to_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.process.STOP_SECONDS", 0.5)
    process = Process("stubborn", tmp_path, outlives=False)
    process.start([sys.executable, "-c", STUBBORN, str(tmp_path)])
    wait_until(lambda: "on" in process.log_path.read_text(), "it ignores SIGTERM")
    process.stop()
    wait_until(lambda: process.pid is None, "it has ended")


def test_free_ports_are_different_and_free(tmp_path: Path) -> None:
    ports = free_ports(["127.0.0.1"], 6)
    assert len(set(ports)) == 6


def test_ports_stay_the_same_from_start_to_start(tmp_path: Path) -> None:
    assert Kafka(tmp_path, 3).bootstrap == Kafka(tmp_path, 3).bootstrap


def test_another_number_of_brokers_than_the_data_have_is_refused(tmp_path: Path) -> None:
    Kafka(tmp_path, 3)
    with pytest.raises(Failed, match="holds kafka with 3 processes, not 1"):
        Kafka(tmp_path, 1)


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    jars.java.cache_clear()
    with pytest.raises(Missing, match="apt install openjdk-17"):
        jars.java()
    jars.java.cache_clear()


def test_another_java_is_named_with_the_one_that_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    jars.java.cache_clear()
    with pytest.raises(Missing, match=r"Java 17 is needed.*21\.0\.2"):
        jars.java()
    jars.java.cache_clear()


def test_without_maven_and_without_a_cache_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="apt install maven"):
        jars.jars("kafka")


def test_the_programs_are_kept_outside_the_work_tree() -> None:
    for name in __main__.NAMES:
        assert not jars.kept_in(ROOT / "services" / f"{name}.pom.xml").is_relative_to(ROOT)


def test_an_unknown_service_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        __main__.main(["up", "cassandr"])
    assert ended.value.code == 2
    assert "cassandra, kafka, registry" in capsys.readouterr().err


def test_a_cassandra_answers_until_it_is_frozen_or_killed(cassandra_cluster: Cassandra) -> None:
    assert all(cassandra_cluster.is_ready(number) for number in range(3))
    cassandra_cluster.kill(1)
    with pytest.raises(OSError):
        cassandra_cluster.is_ready(1)
    cassandra_cluster.start_one(1)
    assert cassandra_cluster.is_ready(1)


def test_a_kafka_comes_back_after_a_kill(kafka: Kafka) -> None:
    kafka.kill(0)
    kafka.start_one(0)
    assert kafka.is_ready(0)


def test_a_registry_answers(registry: Registry) -> None:
    assert registry.is_ready(0)


def test_services_started_by_hand_are_shown_and_stopped(
    kafka: Kafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["kafka", "--directory", str(tmp_path)]
    assert __main__.main(["status", *options]) == 1
    assert "kafka-0      stopped" in capsys.readouterr().out
    try:
        assert __main__.main(["up", *options]) == 0
        assert "kafka-0      runs, pid" in capsys.readouterr().out
    finally:
        assert __main__.main(["down", *options]) == 0
    assert __main__.main(["status", *options]) == 1
    assert "started" in (tmp_path / "kafka-0" / "output.log").read_text()

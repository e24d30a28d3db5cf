"""The whole distributed mode with one command: it comes up, says what to look at, and stops when told."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services import Missing, jars
from services import __main__ as services
from services.kafka import Kafka
from tests.service_process import ROOT, free_port, wait_until

START_SECONDS, STOP_SECONDS = 300.0, 90.0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Of the servers, which go on after the command has ended."""
    try:
        jars.jars("kafka"), jars.jars("cassandra")
    except Missing as missing:
        if "REQUIRE_SERVICES" in os.environ:
            raise
        pytest.skip(str(missing))
    yield tmp_path / "services"
    assert services.main(["down", "cassandra", "kafka", "--directory", str(tmp_path / "services")]) == 0


@pytest.mark.slow
def test_it_comes_up_says_what_to_look_at_and_stops_cleanly(directory: Path, tmp_path: Path) -> None:
    log, port, metrics_port = tmp_path / "log", free_port(), two_free_ports()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")} | {
        "BANNER_DATA_DIRECTORY": str(tmp_path / "data"),
        "BANNER_SERVER_PORT": str(port),
        "BANNER_CONSUMER_METRICS_PORT": str(metrics_port),
    }
    command = [sys.executable, "-m", "commands.run_distributed", "--directory", str(directory)]
    with log.open("wb") as out:
        running = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_until(lambda: running.poll() is not None or is_ready(port), "ready", START_SECONDS)
        said = log.read_text()
        assert running.poll() is None, said
        addresses = [f"http://127.0.0.1:{metrics_port + number}/metrics" for number in range(2)]
        assert all(one in said for one in addresses), said
        wait_until(lambda: all("banner_consumer_" in text(one) for one in addresses), "consumers answer", START_SECONDS)
        (named,) = re.findall(r"^  \. (\S+)$", said, re.MULTILINE)
        assert stat.S_IMODE(Path(named).stat().st_mode) == 0o600
        # As it says: in another terminal, with the environment it wrote and nothing else.
        listed = f". {named} && {sys.executable} -m kafka_ingest.epochs list"
        shown = subprocess.run(["sh", "-c", listed], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert "active" in shown
        running.send_signal(signal.SIGINT)
        assert running.wait(STOP_SECONDS) == 0, log.read_text()
        assert not is_ready(port)
        kafka = Kafka(directory, 1, outlives=True)
        assert kafka.is_ready(0)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


@pytest.mark.parametrize("module", ["kafka_ingest.consumer", "kafka_ingest.intake"])
def test_what_it_started_does_not_outlive_it(module: str) -> None:
    """Told to end with a process that is not its parent, so has ended."""
    ended = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env=os.environ | {"SUPERVISOR_PID": "1"}, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL


def two_free_ports() -> int:
    """The first of two ports that are free now."""
    while True:
        first = free_port()
        with socket.socket() as other:
            try:
                other.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first


def is_ready(port: int) -> bool:
    try:
        answer: dict[str, Any] = json.loads(text(f"http://127.0.0.1:{port}/readyz") or "{}")
    except ValueError:
        return False
    return answer.get("state") == "ok"


def text(url: str) -> str:
    """What it answers; empty while it does not."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""

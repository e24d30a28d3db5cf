"""The servers that are measured: our service on a fresh data directory, and the hello-world beside it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from benchmarks.content import Content, count_every_cell, fill
from benchmarks.wrk import CannotMeasure
from serving.keyring import Keyring
from serving.secret_file import load_or_create
from storage.drain_status import backlog_bytes
from tests.service_process import ROOT, Service, free_port

HOST = "127.0.0.1"
READY_SECONDS = 30.0
DRAIN_SECONDS = 300.0


class Backlog(NamedTuple):
    """What the drain had still to deliver when a load ended."""

    mib: float
    seconds: float
    """Until it had."""


@dataclass(frozen=True, slots=True)
class Target:
    """Our service, running."""

    service: Service
    content: Content
    key: str
    keyring: Keyring

    @property
    def url(self) -> str:
        return self.service.url

    def wait_until_drained(self) -> Backlog:
        """So that what one load left behind does not slow the next. Raises CannotMeasure when it takes too long."""
        journal, started = self.service.data / "journal", time.monotonic()
        left = backlog_bytes(journal)
        while backlog_bytes(journal):
            if time.monotonic() - started > DRAIN_SECONDS:
                raise CannotMeasure(f"the drain has not caught up within {DRAIN_SECONDS:.0f} s")
            time.sleep(0.1)
        return Backlog(left / (1 << 20), time.monotonic() - started)

    def worker_mib(self) -> float:
        """Resident memory of the largest web worker."""
        pids = ",".join(map(str, self.service.pids("web worker")))
        sizes = subprocess.run(["ps", "-o", "rss=", "-p", pids], capture_output=True, text=True, check=True)
        return max(map(int, sizes.stdout.split())) / 1024


@contextmanager
def running(directory: Path, content: Content, workers: int, *, every_cell: bool = False) -> Iterator[Target]:
    """The service with this content, at its defaults; with `every_cell` each of its cells has counts."""
    service = Service(directory, workers=workers)
    key = fill(service.store_path, content)
    if every_cell:
        count_every_cell(service.store_path, content)
    target = Target(service, content, key, load_or_create(service.data / "secrets.json"))
    try:
        service.start()
        yield target
    finally:
        service.close()


@contextmanager
def hello(workers: int) -> Iterator[str]:
    """The URL of a hello-world with as many workers."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.hello", str(port), str(workers)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_until_answers(port)
        yield f"http://{HOST}:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_answers(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        connection = HTTPConnection(HOST, port, timeout=1)
        try:
            connection.request("GET", "/banner")
            connection.getresponse().read()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise CannotMeasure(f"the hello-world did not start: {error}") from error
            time.sleep(0.05)
        finally:
            connection.close()

"""The service as its users run it: `python app.py` in a process group of its own, with its own data directory."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from settings import load
from storage.base import Store
from storage.drain_status import backlog_bytes
from storage.opening import store_for
from tests import http_client
from tests.http_client import Answer

ROOT = Path(__file__).parent.parent
START_SECONDS = 60
STOP_SECONDS = 30
STARTED = re.compile(r"(drain|web server|web worker) started, pid (\d+)")


class Service:
    """One running service; `start` again after `stop` or `kill_group` continues on the same data and port."""

    def __init__(self, directory: Path, *, workers: int = 1, **settings: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.host = "127.0.0.1"
        self.port = free_port()
        self.url = f"http://{self.host}:{self.port}"
        self.data = directory / "data"
        self.store_path = self.data / "banner.db"
        self.log_path = directory / "service.log"
        self.environment = _environment(directory, self.port, workers, settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the supervisor, which leads the process group."""
        assert self._process is not None, "start() first"
        return self._process.pid

    def start(self, *, ready: bool = True) -> "Service":
        """Start the processes; with `ready`, return once /readyz says so."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "app.py")],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if ready:
            self.wait_until(self.is_ready, "ready", START_SECONDS)
        return self

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """One request to the service; see tests.http_client.request."""
        return http_client.request(self.host, self.port, method, path, json=json, body=body, headers=headers, key=key)

    def is_ready(self) -> bool:
        """Whether /readyz answers 200 now."""
        try:
            return self.request("GET", "/readyz").status == 200
        except (OSError, HTTPException):
            return False

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Poll until the condition holds; fails with the end of the log when the service ends or it takes too long."""

        def holds() -> bool:
            assert self._process is not None and self._process.poll() is None, "the service ended"
            return bool(condition())

        try:
            wait_until(holds, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.log_path} ends with:\n{self.log_tail()}") from None

    def wait_for_exit(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None, "start() first"
        return self._process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM to the supervisor, as an init system would; its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait_for_exit()

    def kill_group(self) -> None:
        """SIGKILL to every process at once: what a power cut looks like to the data directory."""
        _kill_group(self.pid)
        self.wait_for_exit()

    def close(self) -> None:
        """End whatever still runs."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{self.log_path}: did not stop within {STOP_SECONDS} s")
        _kill_group(self.pid)
        self._process.wait()

    def open_store(self) -> Store:
        """The store that the service uses."""
        return store_for(load(self.environment))

    def settle(self) -> None:
        """Wait until everything journaled has been counted."""
        self.wait_until(lambda: backlog_bytes(self.data / "journal") == 0, "drained", 60)

    def log(self) -> str:
        """Everything the processes wrote so far."""
        return self.log_path.read_text("utf-8", "replace")

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the log."""
        return "\n".join(self.log().splitlines()[-lines:])

    def pids(self, name: str) -> list[int]:
        """The running processes of this name: drain, web server or web worker."""
        started = [int(pid) for kind, pid in STARTED.findall(self.log()) if kind == name]
        return [pid for pid in started if is_running(pid)]


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not {what} after {seconds} s"
        time.sleep(0.01)


def free_port() -> int:
    """A port nobody listens on, below the range from which the kernel picks those of outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def is_running(pid: int) -> bool:
    """Whether a process of this id exists and is not merely waiting to be reaped."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no /proc here, or gone since
        return not Path("/proc/self").exists()
    return state not in "ZX"


def _environment(directory: Path, port: int, workers: int, settings: Mapping[str, object]) -> dict[str, str]:
    config = directory / "config.ini"
    config.write_text("")
    ours = {"CONFIG": config, "DATA_DIRECTORY": directory / "data", "SERVER_PORT": port, "SERVER_WORKERS": workers}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")}
    return kept | {f"BANNER_{name.upper()}": str(value) for name, value in (ours | dict(settings)).items()}


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM where only zombies are left
        return

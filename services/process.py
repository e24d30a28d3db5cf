"""One server process: started, looked at and ended by its own id, also by a later command."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

POLL_SECONDS = 0.1
STOP_SECONDS = 20.0
LOG_LINES = 15


_children: "dict[Path, subprocess.Popen[bytes]]" = {}
"""What this process started, by directory: they have to be waited for when they have ended."""


class Failed(Exception):
    """A server did not start; the message has the end of its log."""


class Process:
    """A program with a directory of its own: data, log and the id of the process that runs on it."""

    def __init__(self, name: str, directory: Path, *, outlives: bool) -> None:
        """Unless it `outlives` this process, it ends with it."""
        self.name = name
        self.directory = directory
        self.log_path = directory / "output.log"
        self._pid_path = directory / "pid"
        self._outlives = outlives

    @property
    def pid(self) -> int | None:
        """Its process id while it runs. An id that by now belongs to another program is not taken for it."""
        try:
            pid = int(self._pid_path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        child = _children.get(self.directory)
        if child is not None and child.pid == pid:
            return pid if child.poll() is None else None
        return pid if str(self.directory) in _command_line(pid) else None

    def start(self, command: Sequence[str]) -> None:
        """Start it, unless it runs; the command has to name the directory."""
        if self.pid is not None:
            return
        if not self._outlives:
            command = [sys.executable, "-m", "services.tied", str(os.getpid()), *command]
        child = _starter().submit(self._start, command).result()
        _children[self.directory] = child
        self._pid_path.write_text(str(child.pid))

    def _start(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)

    def freeze(self) -> None:
        """SIGSTOP, for what this process started: when this returns, it stands still. Some of its threads go on for a
        moment after the signal was sent. Not twice without SIGCONT between: a stop is reported once, and waited for."""
        self.signal(signal.SIGSTOP)
        child = _children.get(self.directory)
        if child is not None and child.returncode is None:
            os.waitpid(child.pid, os.WUNTRACED)

    def stop(self) -> None:
        """Ask it to end, and make it end if that takes longer than STOP_SECONDS."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if not self._has_ended_within(STOP_SECONDS):
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.signal(signal.SIGKILL)
        self._has_ended_within(STOP_SECONDS)

    def _has_ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return self.pid is None

    def log_tail(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:])


@functools.cache
def _starter() -> ThreadPoolExecutor:
    """The one thread that starts processes: on Linux a tied process ends with the *thread* that started it."""
    return ThreadPoolExecutor(1, thread_name_prefix="services")


def _command_line(pid: int) -> str:
    answer = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return answer.stdout

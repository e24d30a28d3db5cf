"""Keeps the drain and the web server running: starts them, restarts whichever exits, and stops them in order."""

import logging
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from processes import lifeline

log = logging.getLogger("supervisor")

WINDOW_SECONDS = 60.0
MAX_EXITS = 10
"""So many exits within the window, and restarting is no cure."""
LONGEST_PAUSE_SECONDS = 2.0
POLL_SECONDS = 0.1
STOP_SECONDS = 14.0
"""What still runs then is killed."""

TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends these to the whole process group; only the supervisor acts on them, and stops the rest in order."""


@dataclass(frozen=True, slots=True)
class Program:
    """Something to keep running."""

    name: str
    command: Sequence[str]
    stop_seconds: float
    """How long it may take to end after SIGTERM."""


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    exits: deque[float] = field(default_factory=deque)
    """When it ended, within the window."""
    start_at: float = 0.0


class Supervisor:
    """Runs programs until `stopping` says so; they start in their order and stop in the reverse one."""

    def __init__(
        self,
        programs: Sequence[Program],
        stopping: Callable[[], bool],
        environment: Mapping[str, str],
        *,
        stop_seconds: float = STOP_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """All programs together have stop_seconds to end. `clock` is monotonic, in seconds."""
        self._children = [_Child(program) for program in programs]
        self._stopping = stopping
        self._environment = {**environment, lifeline.PARENT_VARIABLE: str(os.getpid())}
        self._stop_seconds = stop_seconds
        self._clock = clock

    def run(self) -> int:
        """The exit code: 0 when told to stop, 1 when the programs would not keep running."""
        try:
            while not self._stopping():
                for child in self._children:
                    self._look_after(child)
                if self._is_hopeless():
                    return 1
                time.sleep(POLL_SECONDS)
            return 0
        finally:
            self._stop_all()

    def _look_after(self, child: _Child) -> None:
        if child.process is None:
            if self._clock() >= child.start_at:
                self._start(child)
        elif child.process.poll() is not None:
            self._note_exit(child, child.process.returncode)

    def _start(self, child: _Child) -> None:
        with _blocked(TERMINAL_SIGNALS):
            child.process = subprocess.Popen(child.program.command, env=self._environment, stdin=subprocess.DEVNULL)
        log.info("%s started, pid %d", child.program.name, child.process.pid)

    def _note_exit(self, child: _Child, code: int) -> None:
        now = self._clock()
        child.process = None
        child.exits.append(now)
        pause = min(LONGEST_PAUSE_SECONDS, POLL_SECONDS * 2 ** len(self._recent(child)))
        child.start_at = now + pause
        log.error("%s ended with %s; starting it again in %.1f s", child.program.name, describe_exit(code), pause)

    def _recent(self, child: _Child) -> deque[float]:
        while child.exits and child.exits[0] < self._clock() - WINDOW_SECONDS:
            child.exits.popleft()
        return child.exits

    def _is_hopeless(self) -> bool:
        exits = {child.program.name: len(self._recent(child)) for child in self._children}
        if sum(exits.values()) < MAX_EXITS:
            return False
        counted = ", ".join(f"{name} {count} times" for name, count in exits.items() if count)
        log.critical(
            "giving up: within %.0f s ended %s. The lines above say why; `python app.py check` shows the settings "
            "and whether the store can be reached",
            WINDOW_SECONDS,
            counted,
        )
        return True

    def _stop_all(self) -> None:
        deadline = self._clock() + self._stop_seconds
        for child in reversed(self._children):
            if child.process is not None and child.process.poll() is None:
                self._end(child.program, child.process, deadline)

    def _end(self, program: Program, process: subprocess.Popen[bytes], deadline: float) -> None:
        process.terminate()
        try:
            process.wait(max(0.1, min(program.stop_seconds, deadline - self._clock())))
            log.info("%s stopped", program.name)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %.0f s and is killed", program.name, program.stop_seconds)
            process.kill()
            process.wait()


def describe_exit(code: int) -> str:
    """`exit code 3` or `signal 9 (Killed)`."""
    return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"


@contextmanager
def _blocked(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Programs started in here inherit that these signals do not reach them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

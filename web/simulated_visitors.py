"""The demo's simulated visitors: `commands.demo_traffic` as one process of the whole installation.

Any worker may start it, stop it and ask for it: the process holds a lock, whose file names it.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-m", "commands.demo_traffic")
TOLD_BYTES = 2_000
"""So much of the end of what it says is read."""


class SimulatedVisitors:
    """Starts and stops them."""

    def __init__(self, lock_path: Path, command: Sequence[str] = COMMAND) -> None:
        self._lock_path = lock_path
        self._output_path = lock_path.with_suffix(".log")
        self._command = command

    def start(self) -> None:
        """Does nothing while they run."""
        with self._lock_path.open("a+") as lock:
            if _is_free(lock):
                lock.truncate(0)
                lock.write(str(self._launch(lock.fileno())))

    def stop(self) -> None:
        """End the process and its children, if it runs; what was answered so far counts."""
        with suppress(FileNotFoundError), self._lock_path.open() as lock:
            # It leads a process group. Whoever holds the lock is that process, so its number is nobody else's.
            if not _is_free(lock) and (leader := lock.read()):
                with suppress(ProcessLookupError):
                    os.killpg(int(leader), signal.SIGTERM)

    def are_running(self) -> bool:
        """Whether the process lives."""
        try:
            with self._lock_path.open() as lock:
                return not _is_free(lock)
        except FileNotFoundError:
            return False

    def told(self) -> str:
        """The last line that it said; empty where it never ran."""
        try:
            with self._output_path.open("rb") as output:
                output.seek(max(0, output.seek(0, os.SEEK_END) - TOLD_BYTES))
                lines = output.read().decode("utf-8", "replace").strip().splitlines()
        except FileNotFoundError:
            return ""
        return lines[-1].strip() if lines else ""

    def _launch(self, lock: int) -> int:
        with self._output_path.open("wb") as output:
            process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[lock],
                start_new_session=True,
            )
        threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay as a zombie
        return process.pid


def _is_free(lock: IO[str]) -> bool:
    """Takes the lock where nobody holds it; closing the file gives it back."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

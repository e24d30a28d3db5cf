"""No process outlives the one that watches it: what would go on alone would hold the port and the drain's lock."""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
CHECK_SECONDS = 0.5
PARENT_VARIABLE = "SUPERVISOR_PID"
"""In the environment of every program: it ends when this process does."""


def die_with(parent: int) -> None:
    """End this process with SIGKILL as soon as its parent, of this process id, has ended. Call it on the main thread.

    Nothing is lost: what was answered is in the journal, and the next start goes on from there.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        _end()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(CHECK_SECONDS)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

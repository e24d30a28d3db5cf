"""Load from wrk, a compiled generator, so that what is measured is the server."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("load.lua")
THREADS = 1
"""One keeps several servers of ours busy."""
CONNECTIONS = 64
"""So many that the server, and not the wait for the next request, sets the pace."""
INSTALL = "wrk is missing, and nothing was measured. Debian and Ubuntu: apt install wrk; macOS: brew install wrk"


class CannotMeasure(Exception):
    """The numbers would say nothing; the message says why."""


class Load(NamedTuple):
    """What one run of wrk measured."""

    requests: int
    per_second: float
    p99_ms: float


def check() -> None:
    """Raise CannotMeasure where there is no wrk."""
    if shutil.which("wrk") is None:
        raise CannotMeasure(INSTALL)


def run(url: str, seconds: float, *arguments: object, connections: int = CONNECTIONS) -> Load:
    """Put load on the server for so long; the arguments are those of load.lua. Raises CannotMeasure on any error."""
    command = ["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "-s", str(SCRIPT), url, "--"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    result = next((line.split()[1:] for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if done.returncode or result is None:
        raise CannotMeasure(f"wrk failed: {(done.stderr or done.stdout).strip()}")
    return parse(result)


def parse(result: Sequence[str]) -> Load:
    """The line that load.lua writes. Raises CannotMeasure when requests went wrong."""
    requests, duration_us, p99_us, refused, failed, used_up = map(int, result)
    if refused or failed:
        raise CannotMeasure(f"of {requests:,} requests {refused:,} were refused and {failed:,} got no answer")
    if used_up:
        raise CannotMeasure("there were fewer tokens than requests, so clicks were repeated")
    return Load(requests, requests / (duration_us / 1e6), p99_us / 1000)

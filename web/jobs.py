"""Commands that run beside the service: started here, each watched by a runner process that outlives a web worker.

A job is a directory `<jobs>/<id>/`: `job.json` (whose it is, the command), its input, `output.txt`, and `exit.json`
once it has ended. Its runner (`python -m web.jobs DIRECTORY LOCK`) and its command hold the lock `alive`: a job that
has no exit code and whose lock is free has died. Runners take turns, so that two histories are never fitted at once.
"""

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
MAX_UNFINISHED = 5
"""Jobs of one tenant that may wait or run at the same time."""
KEPT_JOBS = 100
"""The newest jobs stay; older ones are removed when a new one starts."""
OUTPUT_BYTES = 64_000
"""How much of the end of the output is shown."""
DIED = -1
"""Exit code of a job whose processes are gone without having said how it ended."""

State = Literal["queued", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    job: str
    state: State
    exit_code: int | None
    output: str


class TooManyJobs(Exception):
    """The tenant has MAX_UNFINISHED jobs that have not ended."""


class Jobs:
    """The jobs of an installation. Any process may start one, and ask for any."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def start(
        self, tenant: str, content: Iterable[bytes], command: Callable[[Path], Sequence[str]], now: datetime
    ) -> str:
        """Store the content, start `command(path of the content)`, and return the job's id.

        Raises TooManyJobs. Whatever reading the content raises leaves nothing behind.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._remove_old()
        if self._unfinished(tenant) >= MAX_UNFINISHED:
            raise TooManyJobs
        job = self._directory / f"{int(now.timestamp() * 1e6):016x}{secrets.token_hex(8)}"
        job.mkdir(mode=0o700)
        try:
            _start(job, tenant, content, command)
        except BaseException:
            shutil.rmtree(job)
            raise
        return job.name

    def progress(self, tenant: str, job_id: str) -> Progress | None:
        """How far the tenant's job is; None where it has no such job."""
        job = self._directory / job_id
        if _tenant_of(job) != tenant:
            return None
        alive = _is_alive(job)  # asked first: a job that ends meanwhile has its exit code by then
        exit_code = _exit_code(job)
        if exit_code is None and not alive:
            exit_code = DIED
        return Progress(job_id, _state(job, exit_code), exit_code, _output(job))

    def command(self, tenant: str, job_id: str) -> Sequence[str]:
        """What the tenant's job runs; empty where it has no such job."""
        found = _read(self._directory / job_id / "job.json")
        return found["command"] if found.get("tenant") == tenant else ()

    def file(self, tenant: str, job_id: str, name: str) -> Path | None:
        """What the command of the tenant's job wrote under this name beside its input, if it did."""
        path = self._directory / job_id / name
        return path if _tenant_of(path.parent) == tenant and path.exists() else None

    def _unfinished(self, tenant: str) -> int:
        return sum(_tenant_of(job) == tenant and _is_alive(job) for job in self._by_age())

    def _remove_old(self) -> None:
        for job in self._by_age()[:-KEPT_JOBS]:
            if not _is_alive(job):
                shutil.rmtree(job, ignore_errors=True)

    def _by_age(self) -> list[Path]:
        return sorted(path for path in self._directory.iterdir() if path.is_dir())


def run(job: Path, lock: int) -> None:
    """The runner: wait for a turn, run the command, write down how it ended."""
    with (job.parent / "turn.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        (job / "started").touch()
        exit_code = _run_command(job, lock)
        (job / "input").unlink(missing_ok=True)
        part = job / "exit.part"
        part.write_text(json.dumps({"exit_code": exit_code}), "utf-8")
        part.rename(job / "exit.json")


def _run_command(job: Path, lock: int) -> int:
    command = json.loads((job / "job.json").read_text("utf-8"))["command"]
    with (job / "output.txt").open("wb") as output:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[lock], check=False
        ).returncode


def _start(job: Path, tenant: str, content: Iterable[bytes], command: Callable[[Path], Sequence[str]]) -> None:
    with (job / "alive").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = {"tenant": tenant, "command": list(command(job / "input"))}
        (job / "job.json").write_text(json.dumps(document), "utf-8")
        with (job / "input").open("wb") as file:
            file.writelines(content)
        _launch(job, lock.fileno())


def _launch(job: Path, lock: int) -> None:
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "web.jobs", str(job), str(lock)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": search},
        pass_fds=[lock],
    )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay as a zombie


def _read(path: Path) -> dict[str, Any]:
    """The document; empty where there is none (yet)."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    assert isinstance(found, dict)
    return found


def _tenant_of(job: Path) -> str | None:
    return _read(job / "job.json").get("tenant")


def _exit_code(job: Path) -> int | None:
    return _read(job / "exit.json").get("exit_code")


def _is_alive(job: Path) -> bool:
    try:
        with (job / "alive").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _state(job: Path, exit_code: int | None) -> State:
    if exit_code is not None:
        return "failed" if exit_code else "done"
    return "running" if (job / "started").exists() else "queued"


def _output(job: Path) -> str:
    try:
        with (job / "output.txt").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - OUTPUT_BYTES))
            printed = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return printed.replace(str(job / "input"), "the uploaded file")  # whoever sent it knows no path of this machine


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))

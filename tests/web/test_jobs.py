"""Jobs: commands that run beside the service and are asked for over HTTP."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from web.jobs import DIED, KEPT_JOBS, MAX_UNFINISHED, Jobs, Progress, TooManyJobs

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DEADLINE_SECONDS = 30
WAIT_FOR_GATE = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(jobs: Jobs, job: str) -> Progress:
    until(lambda: progress(jobs, job).state in ("done", "failed"))
    return progress(jobs, job)


def progress(jobs: Jobs, job: str, tenant: str = "shop") -> Progress:
    found = jobs.progress(tenant, job)
    assert found is not None
    return found


def start(jobs: Jobs, code: str, *arguments: str, content: bytes = b"", age_seconds: int = 0) -> str:
    now = NOW - timedelta(seconds=age_seconds)
    return jobs.start("shop", [content], lambda file: [sys.executable, "-c", code, str(file), *arguments], now)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Jobs that wait end once this file exists, at the latest with the test."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def test_a_job_reads_its_input_and_shows_its_output(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    job = start(jobs, "import sys; print(open(sys.argv[1]).read()); sys.stderr.write('end')", content=b"hello")
    assert ended(jobs, job) == Progress(job, "done", 0, "hello\nend")
    assert not (tmp_path / "jobs" / job / "input").exists()


def test_a_job_that_fails_says_so(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    failed = ended(jobs, start(jobs, "print('row 3: no city'); raise SystemExit(2)"))
    assert (failed.state, failed.exit_code, failed.output) == ("failed", 2, "row 3: no city\n")


def test_jobs_take_turns(tmp_path: Path, gate: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    first = start(jobs, WAIT_FOR_GATE, str(gate))
    until(lambda: progress(jobs, first).state == "running")
    second = start(jobs, "")
    assert progress(jobs, second).state == "queued"
    gate.touch()
    assert ended(jobs, first).state == ended(jobs, second).state == "done"


def test_a_job_is_its_tenants_alone(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    job = start(jobs, "")
    assert jobs.progress("other", job) is None
    assert jobs.progress("shop", "0" * 32) is None
    ended(jobs, job)


def test_any_process_can_ask_for_a_job(tmp_path: Path) -> None:
    job = start(Jobs(tmp_path / "jobs"), "print(1)")
    assert ended(Jobs(tmp_path / "jobs"), job).output == "1\n"


def test_a_job_whose_processes_are_killed_has_failed(tmp_path: Path, gate: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    code = "import os; print(os.getppid(), os.getpid(), flush=True)\n" + WAIT_FOR_GATE
    job = start(jobs, code, str(gate))
    until(lambda: progress(jobs, job).output.endswith("\n"))
    runner, command = map(int, progress(jobs, job).output.split())
    os.kill(runner, signal.SIGKILL)
    os.kill(command, signal.SIGKILL)
    died = ended(jobs, job)
    assert (died.state, died.exit_code) == ("failed", DIED)


def test_a_job_that_outlives_its_runner_is_still_running(tmp_path: Path, gate: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    job = start(jobs, "import os; print(os.getppid(), flush=True)\n" + WAIT_FOR_GATE, str(gate))
    until(lambda: progress(jobs, job).output.endswith("\n"))
    os.kill(int(progress(jobs, job).output), signal.SIGKILL)
    assert progress(jobs, job).state == "running"
    gate.touch()
    assert ended(jobs, job).exit_code == DIED


def test_a_tenant_has_a_few_unfinished_jobs_at_most(tmp_path: Path, gate: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    started = [start(jobs, WAIT_FOR_GATE, str(gate)) for _ in range(MAX_UNFINISHED)]
    with pytest.raises(TooManyJobs):
        start(jobs, "")
    gate.touch()
    for job in started:
        ended(jobs, job)
    ended(jobs, start(jobs, ""))


def test_input_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        Jobs(tmp_path / "jobs").start("shop", broken(), lambda file: ["true"], NOW)
    assert list((tmp_path / "jobs").iterdir()) == []


def test_old_jobs_are_removed(tmp_path: Path) -> None:
    directory = tmp_path / "jobs"
    for number in range(KEPT_JOBS + 3):
        job = directory / f"{number:032x}"
        job.mkdir(parents=True)
        (job / "job.json").write_text(json.dumps({"tenant": "shop", "command": []}))
        (job / "alive").touch()
    jobs = Jobs(directory)
    ended(jobs, start(jobs, ""))
    assert sum(path.is_dir() for path in directory.iterdir()) == KEPT_JOBS + 1
    assert jobs.progress("shop", f"{0:032x}") is None
    assert progress(jobs, f"{KEPT_JOBS:032x}").state == "failed"

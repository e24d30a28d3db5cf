"""The supervision itself, with programs of a line or two."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from processes.supervisor import MAX_EXITS, Program, Supervisor, describe_exit
from tests.service_process import ROOT, is_running, wait_until

WRITE_PID = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(f'{os.getpid()} ')\n"
WAIT = WRITE_PID + "import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT
POLITE = (
    "import pathlib, signal, sys, time\n"
    "def stop(*_): pathlib.Path(sys.argv[1] + '.order').open('a').write(sys.argv[2]); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, stop)\n" + WAIT
)


def program(code: str, *arguments: object, name: str = "program", stop_seconds: float = 5.0) -> Program:
    return Program(name, (sys.executable, "-c", code, *map(str, arguments)), stop_seconds)


def pids(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def has_pids(path: Path, count: int) -> bool:
    return len(pids(path)) == count


@contextmanager
def supervised(*programs: Program, codes: list[int] | None = None) -> Iterator[None]:
    stopping = threading.Event()
    supervisor = Supervisor(programs, stopping.is_set, os.environ)
    thread = threading.Thread(target=lambda: (codes if codes is not None else []).append(supervisor.run()))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def test_a_program_that_is_killed_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    codes: list[int] = []
    with supervised(program(WAIT, path), codes=codes):
        for round_number in range(1, 4):
            wait_until(partial(has_pids, path, round_number), "started")
            os.kill(pids(path)[-1], signal.SIGKILL)
        wait_until(partial(has_pids, path, 4), "started again")
    assert codes == [0]
    assert not any(map(is_running, pids(path)))


def test_programs_stop_in_the_reverse_order_of_their_start(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with supervised(program(POLITE, path, "drain,"), program(POLITE, path, "web,")):
        wait_until(partial(has_pids, path, 2), "started")
    assert (tmp_path / "pids.order").read_text() == "web,drain,"


def test_a_program_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    codes: list[int] = []
    with supervised(program(STUBBORN, path, stop_seconds=0.3), codes=codes):
        wait_until(lambda: pids(path), "started")
    assert codes == [0]
    assert not is_running(pids(path)[0])


def test_programs_that_always_exit_are_given_up_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, healthy = tmp_path / "failing", tmp_path / "healthy"
    failing = program(WRITE_PID + "sys.exit(3)", path, name="drain")
    deadline = time.monotonic() + 60
    programs = [failing, program(WAIT, healthy)]
    code = Supervisor(programs, lambda: time.monotonic() > deadline, os.environ, clock=_hurried(5)).run()
    assert code == 1
    assert len(pids(path)) == MAX_EXITS
    assert not is_running(pids(healthy)[0])
    assert "giving up: within 60 s ended drain 10 times" in caplog.text
    assert "drain ended with exit code 3" in caplog.text


def test_exits_that_are_long_ago_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    watched = program(WRITE_PID + "sys.exit(0)", path)
    supervisor = Supervisor([watched], lambda: len(pids(path)) > MAX_EXITS, os.environ, clock=_hurried(200))
    assert supervisor.run() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signals_of_the_terminal_do_not_reach_the_programs(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "pids"
    with supervised(program(WAIT, path)):
        wait_until(lambda: pids(path), "started")
        os.kill(pids(path)[0], number)
        os.kill(pids(path)[0], signal.SIGCONT)  # delivered after it, if it were
        assert is_running(pids(path)[0])
    assert len(pids(path)) == 1


def test_a_program_ends_with_its_supervisor_even_if_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    tied = f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n" + (
        "from processes.lifeline import die_with; die_with(int(os.environ['SUPERVISOR_PID']))\n" + WAIT
    )
    parent = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from processes.supervisor import *\n"
        f"Supervisor([Program('tied', [sys.executable, '-c', {tied!r}, {str(path)!r}], 1)], lambda: False, os.environ)"
        ".run()"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        wait_until(lambda: pids(path), "started")
        process.kill()
    wait_until(lambda: not is_running(pids(path)[0]), "ended")


def test_an_exit_is_described_by_its_code_or_its_signal() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal 9 (Killed)"


def _hurried(speed: float) -> Callable[[], float]:
    """A clock so many times as fast as the real one."""
    return lambda: time.monotonic() * speed

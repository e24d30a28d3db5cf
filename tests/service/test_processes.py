"""`python app.py` as an init system meets it: start, stop, crashes of every process, and what stands in the way."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import StartService
from tests.service_process import ROOT, Service, is_running, wait_until

CANNOT_RUN = 1
SETTINGS_ARE_WRONG = 2


def all_pids(service: Service) -> list[int]:
    return [pid for name in ("drain", "web server", "web worker") for pid in service.pids(name)]


def run_app(service: Service, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "app.py"), *arguments]
    return subprocess.run(command, env=service.environment, capture_output=True, text=True, timeout=60, check=False)


def kill_and_wait(service: Service, name: str) -> None:
    """SIGKILL a process of this name, and wait until another serves in its place."""
    killed = service.pids(name)[-1]
    os.kill(killed, signal.SIGKILL)
    service.wait_until(lambda: bool(set(service.pids(name)) - {killed}), f"running a new {name}")
    service.wait_until(service.is_ready, "ready again")


def test_a_stop_ends_every_process_and_is_no_error(service: StartService) -> None:
    running = service(workers=2)
    service_pids = all_pids(running)
    assert len(service_pids) == 4
    assert running.stop() == 0
    assert not any(map(is_running, service_pids))


def test_the_log_shows_times_in_its_zone(service: StartService) -> None:
    first = service(log_time_zone="America/St_Johns").log().splitlines()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}-0[23]:30 INFO supervisor: .*", first)


def test_ctrl_c_stops_it_as_cleanly(service: StartService) -> None:
    running = service()
    os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to the whole group
    assert running.wait_for_exit() == 0
    assert "started" not in running.log().partition("web server stopped")[2]


def test_it_starts_again_on_what_it_left(service: StartService) -> None:
    running = service()
    secrets = (running.data / "secrets.json").read_text()
    running.stop()
    running.start()
    assert (running.data / "secrets.json").read_text() == secrets
    running.kill_group()
    running.start()


def test_what_it_writes_can_be_read_by_its_owner_alone(service: StartService) -> None:
    running = service()
    assert running.data.stat().st_mode & 0o077 == 0
    assert (running.data / "secrets.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["drain", "web server", "web worker"])
def test_a_killed_process_is_replaced(service: StartService, name: str) -> None:
    running = service()
    kill_and_wait(running, name)
    kill_and_wait(running, name)
    assert running.stop() == 0


def test_workers_do_not_outlive_their_web_server(service: StartService) -> None:
    running = service(workers=2)
    workers = running.pids("web worker")
    os.kill(running.pids("web server")[0], signal.SIGKILL)
    running.wait_until(lambda: not any(map(is_running, workers)), "rid of the old workers")


def test_nothing_outlives_a_killed_supervisor(service: StartService) -> None:
    running = service(workers=2)
    pids = all_pids(running)
    os.kill(running.pid, signal.SIGKILL)
    running.wait_for_exit()
    wait_until(lambda: not any(map(is_running, pids)), "rid of all processes")
    running.start()


def has_said(service: Service, text: str, times: int) -> bool:
    return service.log().count(text) == times


@pytest.mark.slow
def test_a_drain_that_will_not_run_is_given_up_with_a_message(service: StartService) -> None:
    running = service()
    for count in range(1, 11):
        running.wait_until(lambda: running.pids("drain"), "running a drain")
        os.kill(running.pids("drain")[0], signal.SIGKILL)
        if count < 10:
            running.wait_until(partial(has_said, running, "drain ended", count), "aware of it")
    assert running.wait_for_exit() == CANNOT_RUN
    assert "giving up: within 60 s ended drain 10 times" in running.log()
    assert not all_pids(running)


def test_a_request_that_is_being_read_is_answered_before_the_stop(service: StartService) -> None:
    running = service()
    with socket.create_connection((running.host, running.port), timeout=20) as connection:
        connection.sendall(b"POST /click HTTP/1.1\r\nHost: test\r\nContent-Length: 16\r\n\r\n" + b"{" * 8)
        os.kill(running.pid, signal.SIGTERM)
        running.wait_until(lambda: not accepts(running), "refusing connections")
        connection.sendall(b"}" * 8)
        assert connection.recv(100).startswith(b"HTTP/1.1 4")
    assert running.wait_for_exit() == 0


def accepts(service: Service) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((service.host, service.port)) == 0


def test_a_port_in_use_is_said_in_one_line(service: StartService) -> None:
    running = service()
    other = service(ready=False, server_port=running.port)
    assert other.wait_for_exit() == CANNOT_RUN
    assert other.log() == (
        f"cannot start: cannot listen on {running.url}: another program uses it; change server.host or server.port "
        "(BANNER_SERVER_PORT=8001, for example)\n"
    )


def test_the_web_server_alone_refuses_a_port_in_use(service: StartService, tmp_path: Path) -> None:
    running = service()
    answer = run_app(Service(tmp_path / "other", server_port=running.port), "web")
    assert answer.returncode == CANNOT_RUN
    assert answer.stderr == (
        f"cannot start: cannot listen on {running.url}: another program uses it; change server.host or server.port "
        "(BANNER_SERVER_PORT=8001, for example)\n"
    )


def test_the_web_server_alone_says_in_one_line_what_is_in_its_way(tmp_path: Path) -> None:
    elsewhere = run_app(Service(tmp_path, server_host="192.0.2.1"), "web")  # an address that no machine has
    file = run_app(Service(tmp_path, data_directory=ROOT / "README.md"), "web")
    for answer, text in ((elsewhere, "cannot listen on http://192.0.2.1:"), (file, "README.md")):
        assert answer.returncode == CANNOT_RUN
        (line,) = answer.stderr.splitlines()
        assert line.startswith("cannot start: ") and text in line


def test_the_web_server_alone_serves_beside_a_drain(tmp_path: Path) -> None:
    service = Service(tmp_path)
    app = [sys.executable, str(ROOT / "app.py")]
    with (
        subprocess.Popen([*app, "drain"], env=service.environment) as drain,
        subprocess.Popen([*app, "web"], env=service.environment, stderr=subprocess.DEVNULL) as web,
    ):
        try:
            wait_until(service.is_ready, "ready")
        finally:
            web.terminate()
            drain.terminate()
    assert (drain.returncode, web.returncode) == (0, 0)


def test_a_second_service_on_the_same_data_is_refused(service: StartService) -> None:
    running = service()
    other = service(ready=False, data_directory=running.data)
    assert other.wait_for_exit() == CANNOT_RUN
    assert other.log() == f"cannot start: {running.data} is in use by the service with pid {running.pid}\n"


def test_wrong_settings_stop_the_start_and_are_all_named(service: StartService) -> None:
    wrong = service(ready=False, server_prot=1, journal_sync="never")
    assert wrong.wait_for_exit() == SETTINGS_ARE_WRONG
    assert "BANNER_SERVER_PROT" in wrong.log()
    assert "journal.sync" in wrong.log()
    assert not wrong.data.exists()


def test_secrets_that_others_can_read_stop_the_start(service: StartService) -> None:
    running = service()
    running.stop()
    (running.data / "secrets.json").chmod(0o644)
    running.start(ready=False)
    assert running.wait_for_exit() == CANNOT_RUN
    assert "chmod 600" in running.log_tail(1)


def test_a_store_of_a_newer_release_stops_the_start(service: StartService) -> None:
    running = service()
    running.stop()
    with closing(sqlite3.connect(running.store_path)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    running.start(ready=False)
    assert running.wait_for_exit() == CANNOT_RUN
    assert "schema version 1000" in running.log_tail(1)


@pytest.mark.parametrize(("command", "text"), [("check", "cannot be used"), ("drain", "the drain cannot run")])
def test_a_store_of_a_newer_release_is_said_in_one_line(tmp_path: Path, command: str, text: str) -> None:
    service = Service(tmp_path)
    service.data.mkdir()
    with closing(sqlite3.connect(service.store_path)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    answer = run_app(service, command)
    last_line = (answer.stdout + answer.stderr).splitlines()[-1]
    assert answer.returncode == CANNOT_RUN
    assert text in last_line and "schema version 1000" in last_line
    assert "Traceback" not in answer.stderr


def test_a_drain_that_may_not_write_says_so_in_one_line(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.data.write_text("a file where the directory should be")
    answer = run_app(service, "drain")
    assert answer.returncode == CANNOT_RUN
    assert answer.stderr.splitlines()[-1].startswith("the drain cannot run: ")
    assert "Traceback" not in answer.stderr


def test_check_says_where_each_setting_came_from_and_whether_the_store_is_there(service: StartService) -> None:
    running = service()
    answer = run_app(running, "check")
    assert answer.returncode == 0
    port = next(line.split() for line in answer.stdout.splitlines() if line.startswith("server.port"))
    assert port == ["server.port", str(running.port), "BANNER_SERVER_PORT"]
    assert "journal.sync" in answer.stdout
    assert "can be reached" in answer.stdout
    running.stop()
    running.store_path.write_bytes(b"not a database" * 1000)
    assert run_app(running, "check").returncode == CANNOT_RUN


def test_check_makes_nothing(tmp_path: Path) -> None:
    answer = run_app(Service(tmp_path), "check")
    assert answer.returncode == 0
    expected = f"there is no store at {tmp_path}/data/banner.db yet; the first start makes it"
    assert answer.stdout.splitlines()[-1] == expected
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("below", ["", "new"])
def test_check_says_that_a_directory_cannot_be_made_where_a_file_is(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    directory = tmp_path / "file" / below
    service = Service(tmp_path, data_directory=directory)
    answer = run_app(service, "check")
    assert answer.returncode == run_app(service).returncode == CANNOT_RUN
    assert answer.stdout.splitlines()[-1] == (
        f"data.directory {directory} cannot be used: {tmp_path}/file is not a directory"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_says_that_a_directory_may_not_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    answer = run_app(Service(tmp_path, data_directory=tmp_path / "locked" / "data"), "check")
    assert answer.returncode == CANNOT_RUN
    assert answer.stdout.splitlines()[-1].endswith(f"{tmp_path}/locked may not be written to")


def test_importing_the_application_connects_and_loads_nothing(tmp_path: Path) -> None:
    code = "import app, sys; print(*sys.modules)"
    environment = Service(tmp_path).environment
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"flask", "sqlite3", "numpy", "granian"} & set(answer.stdout.split())
    assert not (tmp_path / "data").exists()


def test_the_application_runs_under_another_server_with_a_drain_beside_it(tmp_path: Path) -> None:
    service = Service(tmp_path)
    code = (
        "from wsgiref.simple_server import make_server\nfrom app import application\n"
        f"make_server('127.0.0.1', {service.port}, application).serve_forever()"
    )
    environment = service.environment
    with (
        subprocess.Popen([sys.executable, str(ROOT / "app.py"), "drain"], env=environment) as drain,
        subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT, stderr=subprocess.DEVNULL) as web,
    ):
        try:
            wait_until(service.is_ready, "ready")
        finally:
            web.terminate()
            drain.terminate()
    assert drain.returncode == 0

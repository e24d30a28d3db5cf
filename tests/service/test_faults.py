"""Kills under load: what was acknowledged is counted, each once. And the check that says so, shown to bite."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from bandit.model import Kind
from serving.secret_file import load_or_create
from storage.drain_status import status
from tests.conftest import StartService
from tests.service.ledger import Ledger, complaints, kept_in_file
from tests.service.load import load
from tests.service.shop import Shop
from tests.service_process import ROOT, Service

WORKERS = 4
ROUNDS = 10
SECONDS_BEFORE_A_KILL = 3
DRAIN_KILLS = (0, 2, 5, 7, 9)
GROUP_KILLS = (3, 6)


@pytest.mark.slow
def test_whatever_is_killed_nothing_acknowledged_is_lost_or_counted_twice(
    service: StartService, tmp_path: Path
) -> None:
    # Small segments and frequent saving, so that kills hit those moments, too.
    running = service(workers=WORKERS, journal_segment_mib=1, snapshot_save_seconds=1)
    shop = Shop(running)
    with load(shop, tmp_path / "ledger"):
        for number in range(ROUNDS):
            kill_in_one_round(running, number, random.Random(number))
    shop.settle()
    assert running.stop() == 0
    ledger = Ledger.read(tmp_path / "ledger")
    assert complaints_about(ledger, running.data) == []
    assert status(running.data / "journal").dead_letters == 0
    # The kills hit something: requests were under way, and many others were not disturbed.
    assert len(ledger.customers) > len(ledger.impressions) > 3000
    assert sum(ledger.tried.values()) > sum(ledger.acknowledged.values()) > 1000


def kill_in_one_round(running: Service, number: int, rng: random.Random) -> None:
    """Six seconds of load with a killed worker, and in some of them a killed drain or everything killed at once."""
    pause()
    if number in DRAIN_KILLS:
        kill(running, "drain", 1, rng)
    if number in GROUP_KILLS:
        running.kill_group()
        running.start()
    pause()
    kill(running, "web worker", WORKERS, rng)


def pause() -> None:
    """Let visitors come for a while."""
    threading.Event().wait(SECONDS_BEFORE_A_KILL)


def kill(running: Service, name: str, expected: int, rng: random.Random) -> None:
    """SIGKILL one of so many processes of this name, once all of them are there."""
    running.wait_until(lambda: len(pids(running, name)) == expected, f"running {expected} of {name}")
    os.kill(rng.choice(pids(running, name)), signal.SIGKILL)


def pids(running: Service, name: str) -> list[int]:
    """Only of this service: an id may have been given to another program since."""
    return [pid for pid in running.pids(name) if is_in_group(pid, running.pid)]


def is_in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def complaints_about(ledger: Ledger, data: Path) -> list[str]:
    return complaints(ledger, kept_in_file(data / "banner.db"), load_or_create(data / "secrets.json").customer_key)


# --- the check bites ---


@pytest.fixture(scope="module")
def undrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a ledger, and with data in whose journals most of it still is."""
    directory = tmp_path_factory.mktemp("undrained")
    running = Service(directory, workers=2)
    try:
        running.start()
        shop = Shop(running)
        os.kill(pids(running, "drain")[0], signal.SIGSTOP)
        with load(shop, directory / "ledger", processes=1):
            pause()
        running.kill_group()
    finally:
        running.close()
    return directory


@pytest.fixture(scope="module")
def drained(undrained: Path) -> Path:
    """The same data, drained by a drain that dies at the worst moments."""
    data = copy_of(undrained / "data", undrained)
    drain_with("sound", data)
    return data


@pytest.fixture
def ledger(undrained: Path) -> Ledger:
    read = Ledger.read(undrained / "ledger")
    assert len(read.impressions) > 300
    return read


def copy_of(data: Path, directory: Path) -> Path:
    """A copy of the data to do something with."""
    return Path(shutil.copytree(data, directory / "copy"))


def drain_with(sink: str, data: Path) -> None:
    """Killed twice at the worst moments, and then to the end."""
    arguments = (str(data / "journal"), str(data / "banner.db"), sink)
    command = (sys.executable, "-m", "tests.service.crashing_drain", *arguments)
    codes = [subprocess.run((*command, moment), cwd=ROOT).returncode for moment in ("delivered", "marked", "never")]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]


def test_a_drain_that_dies_at_the_worst_moments_loses_and_repeats_nothing(drained: Path, ledger: Ledger) -> None:
    assert complaints_about(ledger, drained) == []


@pytest.mark.parametrize(("sink", "complaint"), [("forgetful", "is counted 2 times"), ("hasty", "is not counted")])
def test_a_broken_sink_under_the_same_kills_is_found_out(
    undrained: Path, tmp_path: Path, ledger: Ledger, sink: str, complaint: str
) -> None:
    data = copy_of(undrained / "data", tmp_path)
    drain_with(sink, data)
    assert complaint in "\n".join(complaints_about(ledger, data))


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE counts SET served = served + 1", "and should hold"),
        ("UPDATE counts_by_referrer SET clicks = clicks + 1 WHERE referrer = 'mail'", "referrer ("),
        ("UPDATE counts SET clicks = viewed + 1", "clicks, "),
        ("DELETE FROM counts WHERE city = 'pune'", "holds None"),
        ("DELETE FROM events WHERE id % 10 = 0", "is not counted"),
        ("INSERT INTO events SELECT NULL, received_at, tenant, customer, payload FROM events", "is counted 2 times"),
        ("DELETE FROM clicks", "was acknowledged and is not counted"),
        ("UPDATE clicks SET impression_id = randomblob(16)", "was never sent"),
    ],
)
def test_a_store_that_is_wrong_by_a_row_is_found_out(
    drained: Path, tmp_path: Path, ledger: Ledger, statement: str, complaint: str
) -> None:
    data = copy_of(drained, tmp_path)
    with closing(sqlite3.connect(data / "banner.db")) as connection, connection:
        connection.execute(statement)
    assert complaint in "\n".join(complaints_about(ledger, data))


def test_what_only_one_of_ledger_and_store_knows_is_found_out(drained: Path, ledger: Ledger) -> None:
    impression, customer = next(iter(ledger.impressions.items()))
    ledger.customers.remove(customer)
    assert complaints_about(ledger, drained) == ["nobody asked for 1 impressions"]
    ledger.customers.add(customer)
    ledger.impressions[bytes(16)] = customer
    assert complaints_about(ledger, drained) == [f"impression {'00' * 16} was acknowledged and is not counted"]
    del ledger.impressions[bytes(16)]
    ledger.tried[Kind.VIEWED, impression] += 1
    ledger.acknowledged[Kind.VIEWED, impression] = ledger.tried[Kind.VIEWED, impression]
    assert len(complaints_about(ledger, drained)) == 1

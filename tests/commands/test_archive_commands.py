"""Exporting, tidying and forgetting as people and cron start them: processes with exit codes, in the embedded mode."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bandit.event import BannerEvent
from bandit.model import Tenant
from bandit.zone import day_of, day_to_date
from serving.keyring import customer_digest
from serving.secret_file import load_or_create
from settings import ROOT
from storage.archive import MANIFEST, ArchiveDirectory
from storage.archive_export import export
from storage.sqlite import SqliteStore
from tests.storage.archived import read
from tests.storage.events import Log, clicked, served

NOW_US = time.time_ns() // 1000
TODAY = day_of(NOW_US, "UTC")
OLD = TODAY - 500
DISTRIBUTED: dict[str, Any] = {
    "storage_backend": "cassandra",
    "secrets_token_keys": f"1:{'6b' * 32}",
    "secrets_customer_key": "63" * 32,
}


class Place(NamedTuple):
    """An installation, and how many of its events name anna and ben."""

    data: Path
    environment: dict[str, str]

    @property
    def archive(self) -> ArchiveDirectory:
        return ArchiveDirectory(self.data / "archive")

    def run(self, command: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", f"commands.{command}", *arguments],
            cwd=ROOT,
            env=self.environment | {f"BANNER_{name.upper()}": value for name, value in settings.items()},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def deliver(self, journal: int, *events: BannerEvent) -> None:
        store = SqliteStore.open(self.data / "banner.db")
        assert store.deliver(Log(journal).records(*events)) == []
        store.close()

    def hash_of(self, customer: str) -> bytes:
        return customer_digest(load_or_create(self.data / "secrets.json").customer_key, "shop", customer)[:8]

    def files(self) -> list[tuple[Path, int]]:
        return [(path, path.stat().st_mtime_ns) for path in self.archive.files()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "config.ini").write_text("")
    data = tmp_path / "data"
    data.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")}
    ours = {"BANNER_CONFIG": str(tmp_path / "config.ini"), "BANNER_DATA_DIRECTORY": str(data)}
    made = Place(data, kept | ours)
    store = SqliteStore.open(data / "banner.db")
    store.put_tenant("shop", Tenant("shop"))
    store.close()
    return made


def visits(place: Place, first: int) -> list[BannerEvent]:
    """An impression and a click of each of two customers, today and long ago."""
    customers = [place.hash_of("anna"), place.hash_of("ben")]
    made = [
        served(first + number, customer=customers[number % 2], day=day, served_at=NOW_US + number)
        for number, day in enumerate((TODAY, TODAY, OLD, OLD))
    ]
    return [*made, *map(clicked, made)]


def archived_in_two_pieces(place: Place) -> None:
    for journal in (1, 2):
        place.deliver(journal, *visits(place, 100 * journal))
        store = SqliteStore.open(place.data / "banner.db")
        export(store, place.archive, NOW_US, str)
        store.close()


def test_an_export_adds_what_is_new_and_a_second_one_nothing(place: Place) -> None:
    place.deliver(1, *visits(place, 100))
    first = place.run("export_archive")
    assert first.returncode == 0 and "8 new events are in" in first.stdout, first.stderr
    before = place.files()
    second = place.run("export_archive")
    assert second.returncode == 0 and second.stdout.startswith("0 new events are in")
    assert place.files() == before and len(read(place.archive)) == 8


def test_tidying_merges_files_and_takes_old_customers_out_and_a_second_time_does_nothing(place: Place) -> None:
    archived_in_two_pieces(place)
    first = place.run("tidy_archive", archive_retention_days="400")
    assert first.returncode == 0, first.stderr
    assert "4 files were merged; 1 files of days before" in first.stdout and "without customers" in first.stdout
    before = place.files()
    assert len(before) == 2
    second = place.run("tidy_archive", archive_retention_days="400")
    assert second.returncode == 0 and "0 files were merged; 0 files" in second.stdout
    assert place.files() == before
    found = read(place.archive)
    is_old = found["day"].astype(str) == str(day_to_date(OLD))
    assert (len(found), int(is_old.sum())) == (16, 8)
    assert found[is_old]["customer"].isna().all() and found[~is_old]["customer"].notna().all()


def test_old_days_go_altogether_where_that_is_set(place: Place) -> None:
    archived_in_two_pieces(place)
    answer = place.run("tidy_archive", archive_retention_days="400", archive_expire="day")
    assert answer.returncode == 0 and answer.stdout.endswith("are removed\n"), answer.stderr
    assert set(read(place.archive)["day"].astype(str)) == {str(day_to_date(TODAY))}
    assert not list(place.data.glob(f"archive/*/day={day_to_date(OLD)}"))
    again = place.run("export_archive")
    assert again.returncode == 0 and again.stdout.startswith("0 new events")
    assert len(read(place.archive)) == 8


def test_a_forgotten_customer_is_in_neither_archive_nor_store(place: Place) -> None:
    archived_in_two_pieces(place)
    command = ("forget_customer", "--tenant", "shop", "--customer", "anna")
    first = place.run(*command)
    assert first.returncode == 0, first.stderr
    # 4 impressions and 4 clicks, which stand in the table of clicks too.
    assert "12 rows no longer name this customer" in first.stdout
    assert "8 archived events no longer name this customer" in first.stdout
    customers = read(place.archive)["customer"]
    assert int(customers.isna().sum()) == 8 and set(customers.dropna()) == {place.hash_of("ben")}
    store = SqliteStore.open(place.data / "banner.db")
    assert {click.customer for click in store.clicks("shop", "Pune", TODAY)} == {None, place.hash_of("ben")}
    store.close()
    before = place.files()
    second = place.run(*command)
    assert second.returncode == 0 and "0 archived events" in second.stdout and place.files() == before


def snapshot(place: Place) -> list[tuple[Path, int]]:
    """All files of the archive, so that nothing half-written goes unseen."""
    files = [path for path in place.archive.path.rglob("*") if path.is_file() and path.name != "_lock"]
    return sorted((path, path.stat().st_mtime_ns) for path in files)


def is_refused(place: Place, command: str, *arguments: str, code: int = 2, **settings: str) -> str:
    """The one line it says, having changed nothing."""
    before = snapshot(place)
    answer = place.run(command, *arguments, **settings)
    assert answer.returncode == code, answer.stdout + answer.stderr
    assert snapshot(place) == before
    (line,) = answer.stderr.splitlines()
    return line


def test_wrong_input_is_one_clear_line_and_changes_nothing(place: Place) -> None:
    assert "there is no archive at" in is_refused(place, "tidy_archive")
    archived_in_two_pieces(place)
    assert "spark_jobs.archive" in is_refused(place, "export_archive", **DISTRIBUTED)
    manifest = place.archive.path / MANIFEST
    ours = manifest.read_text()
    for text, said in (
        (ours.replace('"format": 1', '"format": 9'), "has format 9"),
        (ours.replace('"topic": ""', '"topic": "t"'), "is filled from Kafka"),
        (ours.replace('"topic"', '"tropic"'), "cannot be read"),
        ("{", "cannot be read"),
    ):
        manifest.write_text(text)
        assert said in is_refused(place, "export_archive")
        if "Kafka" not in said:
            assert said in is_refused(place, "tidy_archive")
    manifest.write_text(ours)
    stray = place.archive.path / "tenant=shop" / "day=someday"
    stray.mkdir()
    assert "is no day of an archive" in is_refused(place, "tidy_archive")
    stray.rmdir()


@pytest.mark.parametrize("damage", ["rubbish", "cut short", "empty", "a page in the middle"])
def test_a_damaged_file_is_named_and_nothing_is_changed(place: Place, damage: str) -> None:
    archived_in_two_pieces(place)
    path = place.archive.files()[1]
    whole = path.read_bytes()
    middle = bytearray(whole)
    for number in range(4, len(whole) // 3):
        middle[number] ^= 0xFF
    path.write_bytes(
        {
            "rubbish": b"PAR1 but broken PAR1",
            "cut short": whole[:-20],
            "empty": b"",
            "a page in the middle": bytes(middle),
        }[damage]
    )
    assert str(path) in is_refused(place, "tidy_archive")
    # Something may be left of the customer: its own code.
    assert str(path) in is_refused(place, "forget_customer", "--tenant", "shop", "--customer", "carl", code=1)


def test_without_pyarrow_one_line_says_so_and_nothing_is_made_or_changed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "without" / "pyarrow").mkdir(parents=True)
    (tmp_path / "without" / "pyarrow" / "__init__.py").write_text("raise ModuleNotFoundError('No pyarrow')")
    without = place._replace(environment=place.environment | {"PYTHONPATH": str(tmp_path / "without")})
    place.deliver(1, *visits(place, 100))
    assert "pyarrow is missing; run: " in is_refused(without, "export_archive", code=1)
    assert not place.archive.path.exists()
    assert place.run("export_archive").returncode == 0
    for command in (
        ["export_archive"],
        ["tidy_archive"],
        ["forget_customer", "--tenant", "shop", "--customer", "anna"],
    ):
        assert "pyarrow is missing; run: " in is_refused(without, *command, code=1)


def test_a_store_of_a_newer_release_is_refused(place: Place) -> None:
    with closing(sqlite3.connect(place.data / "banner.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    place.archive.path.mkdir()
    assert "newer release" in is_refused(place, "export_archive")

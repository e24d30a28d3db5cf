import fcntl
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from commands import backup as backup_command
from commands import restore as restore_command
from commands.archive import ArchiveError, create
from commands.backup import add_files, add_journal, add_store, back_up
from commands.restore import NotEmpty, restore
from data_directory import DirectoryInUse, Paths
from serving.secret_file import load_or_create
from storage.drain_status import is_alive
from storage.sqlite import SqliteStore
from tests.commands.stored_events import (
    Recorder,
    drain_all,
    draining,
    paths,
    recorder,
    serve_until,
    served_count,
    served_ids,
)
from tests.conftest import StartService
from tests.service_process import wait_until

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
IGNORE = str


def make_backup(where: Paths) -> Path:
    target = where.data.parent / "backup.tar.gz"
    back_up(where, target, NOW, IGNORE)
    return target


def restored(archive: Path) -> Paths:
    elsewhere = Paths(archive.parent / "elsewhere")
    restore(elsewhere, archive, NOW, force=False, say=IGNORE)
    return elsewhere


@pytest.fixture
def source(tmp_path: Path) -> Paths:
    made = paths(tmp_path / "data")
    load_or_create(made.secrets)
    (made.media / "shop").mkdir()
    (made.media / "shop" / "a.svg").write_text("<svg/>")
    return made


@contextmanager
def load(where: Paths, writers: int = 2) -> Iterator[list[Recorder]]:
    """Writers whose segments are full and deleted all the time."""
    stop = threading.Event()
    with ExitStack() as stack:
        recorders = [stack.enter_context(recorder(where, segment_bytes=20_000)) for _ in range(writers)]
        threads = [threading.Thread(target=serve_until, args=(stop, one)) for one in recorders]
        for thread in threads:
            thread.start()
        try:
            yield recorders
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_a_backup_under_load_counts_everything_acknowledged_before_it_once(source: Paths) -> None:
    with load(source) as recorders, draining(source):
        wait_until(lambda: all(len(one.acknowledged) > 500 for one in recorders), "busy")
        before = {one for each in recorders for one in each.acknowledged[:]}
        archive = make_backup(source)
    elsewhere = restored(archive)
    drain_all(elsewhere)
    ids = served_ids(elsewhere)
    assert before <= ids.keys()
    assert set(ids.values()) == {1}
    assert served_count(elsewhere) == len(ids)


@pytest.mark.parametrize(("journal_first", "counted"), [(True, 1), (False, 0)])
def test_an_event_delivered_during_the_backup_is_kept_by_the_order_of_copying(
    source: Paths, journal_first: bool, counted: int
) -> None:
    with recorder(source) as writing:
        writing.serve()
    archive = source.data.parent / "backup.tar.gz"
    with create(archive, "now") as open_archive:
        steps = [partial(add_journal, open_archive, source), partial(add_store, open_archive, source, archive.parent)]
        first, second = steps if journal_first else steps[::-1]
        first()
        drain_all(source)
        second()
    elsewhere = restored(archive)
    drain_all(elsewhere)
    assert served_count(elsewhere) == counted


def test_an_event_in_both_copies_counts_once(source: Paths) -> None:
    with recorder(source) as writing:
        writing.serve()
        archive = source.data.parent / "backup.tar.gz"
        with create(archive, "now") as open_archive:
            add_journal(open_archive, source)
            drain_all(source)
            writing.serve()
            drain_all(source)
            add_store(open_archive, source, source.data.parent)
            add_files(open_archive, source)
    elsewhere = restored(archive)
    drain_all(elsewhere)
    assert served_count(elsewhere) == 2
    assert not list(elsewhere.journal.glob("*.seg"))


def test_secrets_and_pictures_come_back_as_they_were(source: Paths) -> None:
    archive = make_backup(source)
    elsewhere = restored(archive)
    assert load_or_create(elsewhere.secrets) == load_or_create(source.secrets)
    assert (elsewhere.media / "shop" / "a.svg").read_text() == "<svg/>"
    assert archive.stat().st_mode & 0o777 == 0o600


def test_a_backup_that_fails_leaves_no_archive_and_keeps_the_last_one(source: Paths) -> None:
    archive = make_backup(source)
    before = archive.read_bytes()
    source.database.unlink()
    with pytest.raises(Exception, match="SQLite"):
        make_backup(source)
    assert archive.read_bytes() == before
    assert sorted(source.data.parent.iterdir()) == [archive, source.data]


def test_a_backup_into_a_directory_is_refused_before_anything_is_copied(
    source: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backups = source.data.parent / "backups"
    backups.mkdir()
    apply({"BANNER_DATA_DIRECTORY": str(source.data)}, monkeypatch)
    assert backup_command.main([str(backups)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"no backup was made: {backups} is a directory; name the file to write, such as ")
    assert not printed.out
    assert sorted(source.data.parent.iterdir()) == [backups, source.data]


def test_a_restore_overwrites_nothing_unless_told_to(source: Paths) -> None:
    archive = make_backup(source)
    with pytest.raises(NotEmpty, match="--force"):
        restore(source, archive, NOW, force=False, say=IGNORE)


def test_a_forced_restore_sets_aside_what_was_there(source: Paths) -> None:
    archive = make_backup(source)
    (source.media / "shop" / "late.svg").write_text("late")
    restore(source, archive, NOW, force=True, say=IGNORE)
    assert not (source.media / "shop" / "late.svg").exists()
    assert (source.data / "before-restore-20260701T120000Z" / "media" / "shop" / "late.svg").read_text() == "late"
    SqliteStore(source.database).configuration_version()


def test_a_forced_restore_leaves_the_archive_where_it_is(source: Paths) -> None:
    archive = make_backup(source)
    source.archive.mkdir()
    (source.archive / "_archive.json").write_text("{}")
    restore(source, archive, NOW, force=True, say=IGNORE)
    assert (source.archive / "_archive.json").read_text() == "{}"


@pytest.mark.parametrize("was_moved", [True, False])
def test_where_the_store_is_in_cassandra_the_rest_is_copied_and_that_is_said(
    source: Paths, was_moved: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with recorder(source) as writing:
        writing.serve()
    source.secrets.unlink()
    if not was_moved:
        source.database.unlink()
    archive = source.data.parent / "backup.tar.gz"
    keys = {"BANNER_SECRETS_TOKEN_KEYS": f"1:{'6b' * 32}", "BANNER_SECRETS_CUSTOMER_KEY": "63" * 32}
    distributed = {"BANNER_STORAGE_BACKEND": "cassandra", "BANNER_DATA_DIRECTORY": str(source.data)}
    apply(keys | distributed, monkeypatch)
    assert backup_command.main([str(archive)]) == 0
    said = capsys.readouterr().out
    assert "the store is in Cassandra and not in this backup" in said and "store copied" not in said
    assert said.endswith("without secrets.json: the secrets are in the settings\n")
    elsewhere = archive.parent / "elsewhere"
    monkeypatch.setenv("BANNER_DATA_DIRECTORY", str(elsewhere))
    assert restore_command.main([str(archive)]) == 0
    assert "the backup holds no store" in capsys.readouterr().out
    assert not (elsewhere / "banner.db").exists()
    assert (elsewhere / "media" / "shop" / "a.svg").exists() and list((elsewhere / "journal").glob("*.seg"))


@pytest.mark.parametrize("command", [backup_command, restore_command])
def test_the_help_says_the_exit_codes(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "Exit codes: 0 done, 1 " in capsys.readouterr().out


def test_an_older_store_set_aside_takes_its_write_ahead_log_along(source: Paths) -> None:
    archive = make_backup(source)
    source.database.with_name("banner.db-wal").write_bytes(b"of another file")
    restore(source, archive, NOW, force=True, say=IGNORE)
    assert SqliteStore(source.database).integrity() == []


def test_nothing_is_restored_while_the_service_runs(source: Paths) -> None:
    archive = make_backup(source)
    with source.alone(), pytest.raises(DirectoryInUse, match="in use by the service"):
        restore(source, archive, NOW, force=True, say=IGNORE)


def test_nothing_is_restored_while_a_drain_runs(source: Paths) -> None:
    archive = make_backup(source)
    with draining(source):
        wait_until(lambda: is_alive(source.journal), "draining")
        with pytest.raises(DirectoryInUse, match="a drain works on"):
            restore(source, archive, NOW, force=True, say=IGNORE)


def test_nothing_is_restored_while_a_worker_of_another_server_writes(source: Paths) -> None:
    archive = make_backup(source)
    with recorder(source), pytest.raises(DirectoryInUse, match="a web worker writes to"):
        restore(source, archive, NOW, force=True, say=IGNORE)
    restore(source, archive, NOW, force=True, say=IGNORE)


def test_nothing_is_restored_while_a_seeding_job_runs(source: Paths) -> None:
    archive = make_backup(source)
    job = source.jobs / "1"
    job.mkdir()
    with (job / "alive").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DirectoryInUse, match="a seeding job runs"):
            restore(source, archive, NOW, force=True, say=IGNORE)
    restore(source, archive, NOW, force=True, say=IGNORE)


def test_a_damaged_archive_is_found_out_before_anything_is_replaced(source: Paths) -> None:
    archive = make_backup(source)
    whole = archive.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"PK", whole[:2000] + bytes([whole[2000] ^ 0xFF]) + whole[2001:]):
        archive.write_bytes(damaged)
        with pytest.raises(ArchiveError):
            restore(source, archive, NOW, force=True, say=IGNORE)
    assert SqliteStore(source.database).integrity() == []
    assert not list(source.data.glob("before-restore-*"))
    assert not (source.data / "restoring").exists()


@pytest.mark.parametrize("name", ["../outside", "/outside", "media/../../outside"])
def test_an_archive_cannot_write_outside_the_data_directory(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "backup.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(ArchiveError, match="nothing that a backup holds"):
        restore(Paths(tmp_path / "a" / "data"), archive, NOW, force=False, say=IGNORE)
    assert not list(tmp_path.rglob("outside"))


def test_a_file_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar.gz"
    manifest = json.dumps({"format": 1, "made_at": "", "files": {}}).encode()
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in (("extra", b"x"), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(ArchiveError, match="extra"):
        restore(Paths(tmp_path / "data"), archive, NOW, force=False, say=IGNORE)


def test_a_running_service_is_copied_and_its_copy_serves(
    service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running, copy = service(), service(data_directory=tmp_path / "copy")
    copy.stop()
    archive = tmp_path / "backup.tar.gz"
    apply(running.environment, monkeypatch)
    assert backup_command.main([str(archive)]) == 0
    assert "with secrets" in capsys.readouterr().out
    assert restore_command.main([str(archive)]) == 1
    assert "in use by the service" in capsys.readouterr().err
    apply(copy.environment, monkeypatch)
    assert restore_command.main([str(archive)]) == 1
    assert "--force" in capsys.readouterr().err
    assert restore_command.main([str(archive), "--force"]) == 0
    assert (tmp_path / "copy" / "secrets.json").read_bytes() == (running.data / "secrets.json").read_bytes()
    copy.start()


def apply(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BANNER_"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        if name.startswith("BANNER_"):
            monkeypatch.setenv(name, value)

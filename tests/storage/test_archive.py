from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bandit.zone import day_to_date
from commands.tidy_archive import tidy
from storage import archive_tidying
from storage.archive import ArchiveDirectory, ArchiveError, Manifest, Stored, write_file
from storage.archive_export import export
from storage.archive_tidying import alone, expire, forget_customer, merge_small_files
from storage.sqlite import SqliteStore
from storage.stream_checkpoint import is_complete
from tests.storage.archived import archive_of, read, some_events
from tests.storage.events import DAY, NOON_US, Log, served

EVENTS = some_events(60)
MORE = some_events(100, seed=2)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    store = SqliteStore.open(tmp_path / "banner.db")
    store.deliver(Log().records(*EVENTS))
    return store


def identity(frame: pd.DataFrame) -> pd.DataFrame:
    """Everything but the order of the rows."""
    columns = sorted(frame.columns)
    return frame[columns].map(repr).sort_values(columns).reset_index(drop=True)


def test_the_export_holds_every_event_once_with_all_its_fields(store: SqliteStore, tmp_path: Path) -> None:
    archive = ArchiveDirectory(tmp_path / "archive")
    assert export(store, archive, NOON_US, str, chunk=37) == len(EVENTS)
    frame = read(archive).sort_values("log_offset").reset_index(drop=True)
    assert list(frame["log_offset"]) == list(range(1, len(EVENTS) + 1))
    assert list(frame["impression_id"]) == [event.impression_id for event in EVENTS]
    for column in ("tenant", "city", "kind", "banner", "policy", "verdict", "customer"):
        assert list(frame[column]) == [getattr(event, column) for event in EVENTS], column
    assert list(frame["day"].astype(str)) == [str(day_to_date(event.day)) for event in EVENTS]
    assert list(frame["served_at"].astype("int64")) == [event.served_at for event in EVENTS]


def test_a_second_export_adds_only_what_came_since(store: SqliteStore, tmp_path: Path) -> None:
    archive = ArchiveDirectory(tmp_path / "archive")
    export(store, archive, NOON_US, str)
    store.deliver(Log(journal=8).records(served(1000)))
    assert export(store, archive, NOON_US, str) == 1
    assert export(store, archive, NOON_US, str) == 0
    assert len(read(archive)) == len(EVENTS) + 1


def killed_in_a_piece(store: SqliteStore, archive: ArchiveDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that has written two files of the events there are."""
    written: list[Path] = []

    def die(path: Path, table: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write_file(path, table)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("storage.archive.write_file", die)
        export(store, archive, NOON_US, str)


def test_an_export_that_was_killed_between_files_leaves_no_event_twice(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = ArchiveDirectory(tmp_path / "archive")
    killed_in_a_piece(store, archive, monkeypatch)
    export(store, archive, NOON_US, str)
    assert sorted(read(archive)["log_offset"]) == list(range(1, len(EVENTS) + 1))


def test_nor_does_it_where_the_archive_is_tidied_in_between(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = ArchiveDirectory(tmp_path / "archive")
    export(store, archive, NOON_US, str)
    store.deliver(Log(journal=8).records(*MORE))
    killed_in_a_piece(store, archive, monkeypatch)
    tidy(archive, date(2020, 1, 1), "customer", str)
    export(store, archive, NOON_US, str)
    assert sorted(read(archive)["log_offset"]) == list(range(1, len(EVENTS) + len(MORE) + 1))


def test_ids_of_pruned_events_are_not_used_again(store: SqliteStore, tmp_path: Path) -> None:
    archive = ArchiveDirectory(tmp_path / "archive")
    export(store, archive, NOON_US, str)
    store.prune(events_before=2 * NOON_US, claims_before=0, limit=10_000)
    store.deliver(Log(journal=8).records(served(1000)))
    assert export(store, archive, NOON_US, str) == 1
    assert archive.manifest().complete_since_us == 0


def test_events_that_were_pruned_before_they_were_archived_are_said(store: SqliteStore, tmp_path: Path) -> None:
    archive = ArchiveDirectory(tmp_path / "archive")
    store.prune(events_before=2 * NOON_US, claims_before=0, limit=10_000)
    said: list[str] = []
    export(store, archive, NOON_US, said.append)
    assert archive.manifest().complete_since_us == NOON_US
    assert "forgotten" in said[0]


@pytest.mark.parametrize("events_since", [0, 30, 200])
def test_a_store_restored_from_a_backup_does_not_mix_its_events_with_those_archived_before(
    store: SqliteStore, tmp_path: Path, events_since: int
) -> None:
    archive, copy = ArchiveDirectory(tmp_path / "archive"), tmp_path / "copy.db"
    store.backup(copy)
    store.deliver(Log(journal=8).records(*MORE[:50]))
    export(store, archive, NOON_US, str)
    restored = SqliteStore.open(copy)
    restored.deliver(Log(journal=9).records(*MORE[:events_since]))
    with pytest.raises(ArchiveError, match="move the archive away"):
        export(restored, archive, NOON_US, str)
    elsewhere = ArchiveDirectory(tmp_path / "elsewhere")
    assert export(restored, elsewhere, NOON_US, str) == len(read(elsewhere)) == len(EVENTS) + events_since
    restored.close()


@pytest.mark.parametrize("events_since", [10, 200])
def test_nor_with_those_of_a_piece_that_was_begun_before(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events_since: int
) -> None:
    archive, copy = ArchiveDirectory(tmp_path / "archive"), tmp_path / "copy.db"
    export(store, archive, NOON_US, str)
    store.backup(copy)
    store.deliver(Log(journal=8).records(*MORE[:50]))
    killed_in_a_piece(store, archive, monkeypatch)
    restored = SqliteStore.open(copy)
    restored.deliver(Log(journal=9).records(*MORE[:events_since]))
    with pytest.raises(ArchiveError, match="move the archive away"):
        export(restored, archive, NOON_US, str)
    restored.close()


def test_merged_files_hold_the_same_events(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, EVENTS)
    before = read(archive)
    with alone(archive):
        assert merge_small_files(archive, lambda _: True, str) > 0
    partitions = {path.parent for path in archive.files()}
    assert len(archive.files()) == len(partitions)
    pd.testing.assert_frame_equal(identity(read(archive)), identity(before))


def test_a_merge_that_was_killed_at_any_step_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_of(tmp_path, EVENTS)
    before = read(archive)

    def killed(_archive: ArchiveDirectory) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, archive.alone(), pytest.raises(KeyboardInterrupt):
        patch.setattr(archive_tidying, "_finish_merge", killed)
        merge_small_files(archive, lambda _: True, str)
    archive.files()[0].unlink()  # it had begun to remove its inputs
    with alone(archive):
        pass
    pd.testing.assert_frame_equal(identity(read(archive)), identity(before))


@pytest.mark.parametrize("command", ["merge", "expire"])
def test_what_a_killed_one_left_unfinished_does_not_name_a_forgotten_customer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    archive = archive_of(tmp_path, EVENTS)
    customer = next(event.customer for event in EVENTS if event.tenant == "shop" and event.customer)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, archive.alone(), pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        if command == "merge":
            merge_small_files(archive, lambda _: True, str)
        else:
            expire(archive, day_to_date(DAY + 1), "customer")
    assert len([*tmp_path.rglob("*.parquet*")]) > len(archive.files())
    with alone(archive):
        forget_customer(archive, "shop", customer)
    assert sorted(tmp_path.rglob("*.parquet*")) == archive.files()


def test_files_of_a_batch_that_was_not_committed_are_not_merged(tmp_path: Path) -> None:
    (tmp_path / "commits").mkdir()
    (tmp_path / "commits" / "4").touch()
    assert is_complete(tmp_path, Path("stream-0123abcd-000000004.parquet"))
    assert not is_complete(tmp_path, Path("stream-0123abcd-000000005.parquet"))
    assert is_complete(tmp_path, Path("merged-0123.parquet"))


def test_a_forgotten_customer_is_in_no_event_and_all_others_are(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, EVENTS)
    customer = next(event.customer for event in EVENTS if event.tenant == "shop" and event.customer)
    before = read(archive)
    named = int(((before["customer"] == customer) & (before["tenant"] == "shop")).sum())
    with alone(archive):
        assert forget_customer(archive, "shop", customer) == named > 0
        assert forget_customer(archive, "shop", customer) == 0
    after = read(archive)
    of_shop = after[after["tenant"] == "shop"]
    assert customer not in set(of_shop["customer"])
    assert int(after["customer"].isna().sum()) == named
    pd.testing.assert_frame_equal(identity(after.drop(columns="customer")), identity(before.drop(columns="customer")))


@pytest.mark.parametrize("what", ["customer", "day"])
def test_days_past_their_time_lose_the_customers_or_go(tmp_path: Path, what: str) -> None:
    archive = archive_of(tmp_path, EVENTS)
    first_kept = day_to_date(DAY + 1)
    with alone(archive):
        assert expire(archive, first_kept, what) > 0
        assert expire(archive, first_kept, what) == 0
    frame = read(archive)
    old = frame[frame["day"].astype(str) < str(first_kept)]
    young = frame[frame["day"].astype(str) >= str(first_kept)]
    assert len(young) == sum(event.day > DAY for event in EVENTS) and young["customer"].notna().all()
    assert len(old) == (0 if what == "day" else len(EVENTS) - len(young))
    assert old["customer"].isna().all()
    assert archive.manifest().removed_before == (str(first_kept) if what == "day" else "")


def test_an_archive_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    archive_of(tmp_path, EVENTS[:3], format=2)
    with pytest.raises(ArchiveError, match="format 2"):
        ArchiveDirectory(tmp_path).manifest()


def test_files_of_unknown_origin_are_not_taken_over(tmp_path: Path) -> None:
    ArchiveDirectory(tmp_path).write("x", [Stored(1, served(1))])
    with pytest.raises(ArchiveError, match="no _archive"):
        ArchiveDirectory(tmp_path).create(Manifest())

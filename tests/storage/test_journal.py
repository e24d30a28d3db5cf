"""What a journal promises to those who append: nothing acknowledged is lost, and it says when it cannot record."""

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from storage.journal import Journal, JournalFull, JournalUnwritable
from storage.segment_files import is_held
from storage.segments import MAX_RECORD_BYTES, frame
from tests.storage.journal_records import (
    Place,
    append,
    append_all,
    lost_bytes,
    payload,
    places_in,
    segments,
    wait_until,
)

ROOT = Path(__file__).parents[2]
WRITER = (sys.executable, "-m", "tests.storage.journal_writer")


def accepts(journal: Journal) -> bool:
    try:
        journal.check()
    except (JournalFull, JournalUnwritable):
        return False
    return True


def fill(journal: Journal) -> int:
    """Append until it is full; how many records it took."""
    for taken in range(100_000):
        try:
            append(journal)
        except JournalFull:
            return taken
    raise AssertionError("it is never full")


# Appending


def test_what_is_appended_is_in_the_segments_in_order(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "new" / "directory", segment_bytes=1000)
    written = [append(journal, shard) for shard in (0, 1, 65535) * 100]
    assert places_in(tmp_path / "new" / "directory") == written
    assert [place.sequence for place in written if place.shard == 1] == list(range(1, 101))
    journal.close()
    assert all(path.stat().st_size <= 1000 + 100 for path in segments(tmp_path / "new" / "directory"))


def test_every_journal_has_an_id_of_its_own(tmp_path: Path) -> None:
    journals = [Journal.open(tmp_path) for _ in range(5)]
    assert len({journal.id for journal in journals}) == 5
    assert all(0 < journal.id < 1 << 63 for journal in journals)
    for journal in journals:
        journal.close()


def test_threads_share_a_journal_and_its_sequences(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=20_000)
    threads = [threading.Thread(target=lambda: [append(journal, shard) for shard in (0, 1) * 1000]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    found = places_in(tmp_path)
    for shard in (0, 1):
        assert [place.sequence for place in found if place.shard == shard] == list(range(1, 4001))


def test_the_segment_is_locked_as_long_as_its_journal_is_open(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    (path,) = segments(tmp_path)
    assert is_held(path)
    journal.close()
    assert not is_held(path)


@pytest.mark.parametrize("sync", ["interval", "always"])
def test_a_closed_journal_takes_nothing_more(tmp_path: Path, sync: str) -> None:
    journal = Journal.open(tmp_path, sync=sync)
    written = append(journal)
    journal.close()
    journal.close()
    assert not accepts(journal)
    with pytest.raises(JournalUnwritable, match="closed"):
        append(journal)
    assert places_in(tmp_path) == [written]


def test_a_failing_encoder_and_an_oversized_record_use_up_no_sequence(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    with pytest.raises(ZeroDivisionError):
        journal.append(0, lambda sequence: bytes(sequence // 0))
    with pytest.raises(ValueError, match="at most"):
        journal.append(0, lambda _: bytes(MAX_RECORD_BYTES + 1))
    assert append(journal).sequence == 1
    journal.close()


def test_records_appended_together_follow_each_other(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=1000)
    written = [append(journal)]
    for _ in range(50):
        written += append_all(journal, 1, 0, 1, 7)
    journal.append_all([])
    written.append(append(journal, 1))
    journal.close()
    assert places_in(tmp_path) == written
    assert [place.sequence for place in written if place.shard == 1] == list(range(1, 102))


def test_of_records_together_none_is_taken_when_one_cannot_be_encoded(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    with pytest.raises(ZeroDivisionError):
        journal.append_all([(0, bytes), (1, bytes), (0, lambda sequence: bytes(sequence // 0))])
    with pytest.raises(ValueError, match="at most"):
        journal.append_all([(0, bytes), (0, lambda _: bytes(MAX_RECORD_BYTES + 1))])
    written = append_all(journal, 0, 1)
    journal.close()
    assert places_in(tmp_path) == written == [Place(journal.id, 0, 1), Place(journal.id, 1, 1)]


def test_an_unknown_kind_of_sync_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interval or always"):
        Journal.open(tmp_path, sync="sometimes")


# Full


def test_a_full_journal_says_so_and_goes_on_without_a_gap_once_there_is_room(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=4000, max_bytes=20_000)
    taken = fill(journal)
    assert not accepts(journal)
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 20_000
    # A full journal leaves its segment too, or nothing could be freed where the segments are as large as the limit.
    wait_until(lambda: not any(map(is_held, segments(tmp_path))), "all segments are left")
    for path in segments(tmp_path):
        path.unlink()
    wait_until(lambda: accepts(journal), "it takes records again")
    assert append(journal).sequence == taken + 1
    journal.close()


def test_records_without_room_together_are_all_refused_until_there_is_room(tmp_path: Path) -> None:
    """Though one alone would fit; and the segment is left, or its bytes could never be freed."""
    journal = Journal.open(tmp_path, max_bytes=20_000)
    written = [append(journal) for _ in range(250)]
    with pytest.raises(JournalFull):
        append_all(journal, *range(500))
    assert not accepts(journal)
    assert places_in(tmp_path) == written
    wait_until(lambda: not any(map(is_held, segments(tmp_path))), "all segments are left")
    for path in segments(tmp_path):
        path.unlink()
    wait_until(lambda: accepts(journal), "it takes records again")
    assert [place.sequence for place in append_all(journal, 0, 0, 1)] == [251, 252, 1]
    journal.close()


def test_what_others_wrote_counts_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "00000001.dead").write_bytes(bytes(30_000))
    journal = Journal.open(tmp_path, max_bytes=20_000)
    assert segments(tmp_path) == []
    with pytest.raises(JournalFull, match="20000 bytes"):
        append(journal)
    journal.close()


def test_a_journal_notices_what_others_write(tmp_path: Path) -> None:
    journal, other = (Journal.open(tmp_path, max_bytes=20_000) for _ in range(2))
    append(journal)
    fill(other)
    wait_until(lambda: not accepts(journal), "it is full as well")
    journal.close()
    other.close()


# A disk that fails


def run(*command: object) -> Any:
    """What a writer prints."""
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_short_write_is_taken_back_and_another_segment_is_tried(tmp_path: Path) -> None:
    answer = run(*WRITER, "limited", tmp_path, 1)
    found = places_in(tmp_path)
    assert found == [Place(*place) for place in answer["acknowledged"]]
    assert [place.sequence for place in found] == list(range(1, len(found) + 1))
    assert answer["refused"] == 2000 - len(found) > 0
    assert sum(map(lost_bytes, segments(tmp_path))) == 0


def test_a_short_write_of_several_records_leaves_none_of_them(tmp_path: Path) -> None:
    answer = run(*WRITER, "limited", tmp_path, 5)
    found = places_in(tmp_path)
    assert found == [Place(*place) for place in answer["acknowledged"]]
    assert answer["refused"] == 2000 - len(found) > 0
    assert sum(map(lost_bytes, segments(tmp_path))) == 0


def test_what_the_drain_may_have_read_of_refused_records_is_never_written_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three fit on the disk, and the drain is quick: it reads them before they are cut off."""
    journal = Journal.open(tmp_path)
    two = sum(len(frame(0, payload(Place(journal.id, 0, sequence)))) for sequence in (1, 2))
    write, cut = os.write, os.ftruncate
    read: list[Place] = []

    def read_and_cut(descriptor: int, length: int) -> None:
        read.extend(places_in(tmp_path))
        cut(descriptor, length)

    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: two + 5]))
        full.setattr(os, "ftruncate", read_and_cut)
        with pytest.raises(JournalUnwritable, match="were written"):
            append_all(journal, 0, 0, 0)
    assert [place.sequence for place in read] == [1, 2]
    written = append_all(journal, 0, 1)
    journal.close()
    assert [place.sequence for place in written] == [4, 1]
    assert places_in(tmp_path) == written
    assert len(segments(tmp_path)) == 2  # the first one's bytes are read already, as far as the drain can tell


def test_a_full_disk_refuses_records_and_recovers(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("a file system of its own needs unshare and its permission")
    mount = f"mount -t tmpfs -o size=256k none {tmp_path} && exec {' '.join(WRITER)} starved {tmp_path}"
    answer = run("unshare", "-Urm", "sh", "-c", mount)
    assert answer["found"] == answer["acknowledged"]
    assert [sequence for _, _, sequence in answer["found"]] == list(range(1, len(answer["found"]) + 1))


def can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    tried = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, timeout=20, check=False
    )
    return tried.returncode == 0


def test_a_directory_that_cannot_be_made_is_said_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    journal = Journal.open(tmp_path / "data" / "journal")
    assert not accepts(journal)
    with pytest.raises(JournalUnwritable, match="cannot be written"):
        append(journal)
    (tmp_path / "data").unlink()
    assert append(journal).sequence == 1
    wait_until(lambda: accepts(journal), "it is ready")
    journal.close()


def test_a_removed_segment_is_left_for_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal.open(tmp_path / "journal")
    append(journal)
    shutil.rmtree(tmp_path / "journal")
    wait_until(lambda: "removed" in caplog.text, "it notices")
    written = append(journal)
    journal.close()
    assert places_in(tmp_path / "journal") == [written]
    assert written.sequence == 2


def break_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fdatasync" if hasattr(os, "fdatasync") else "fsync", fail)


def test_a_record_that_cannot_be_synced_is_cut_off_and_its_sequence_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path, sync="always")
    written = [append(journal)]
    with monkeypatch.context() as broken:
        break_sync(broken)
        with pytest.raises(JournalUnwritable, match="broken"):
            append(journal)
        assert not accepts(journal)
    written.append(append(journal))
    journal.close()
    assert places_in(tmp_path) == written
    assert [place.sequence for place in written] == [1, 3]
    assert len(segments(tmp_path)) == 2


def test_records_together_that_cannot_be_synced_are_all_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path, sync="always")
    with monkeypatch.context() as broken:
        break_sync(broken)
        with pytest.raises(JournalUnwritable, match="broken"):
            append_all(journal, 0, 1, 0)
    written = append_all(journal, 0, 1)
    journal.close()
    assert places_in(tmp_path) == written
    assert [place.sequence for place in written] == [3, 2]


def test_a_failing_background_sync_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    journal = Journal.open(tmp_path, sync_interval_ms=5)
    with monkeypatch.context() as broken:
        break_sync(broken)
        append(journal)
        wait_until(lambda: "broken" in caplog.text, "it is logged")
    append(journal)
    wait_until(lambda: accepts(journal), "it is ready again")
    journal.close()
    assert [place.sequence for place in places_in(tmp_path)] == [1, 2]

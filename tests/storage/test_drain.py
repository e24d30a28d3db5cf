"""What the drain promises: everything journaled is delivered, each journal in order, whatever happens on the way."""

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.base import EventSink, Record, Refusal
from storage.drain import DrainStatus, backlog_bytes, drain, is_alive, status
from storage.journal import Journal, JournalFull
from storage.marks import delete_orphans, mark_path, read_mark, write_mark
from storage.refused import dead_letter_files, read_refusals
from storage.segment_files import find_segments, segment_name
from tests.storage.journal_records import Place, append, files, of_journal, payload, place_of, wait_until
from tests.storage.recording_sinks import RecordingSink

ROOT = Path(__file__).parents[2]


@contextmanager
def draining(directory: Path, sink: EventSink, *, batch_records: int = 100) -> Iterator[threading.Event]:
    """A drain in a thread; it is stopped, and has finished, at the end."""
    stop = threading.Event()
    thread = threading.Thread(
        target=drain,
        args=(directory, sink),
        kwargs={"stop": stop, "batch_records": batch_records, "idle_seconds": 0.002},
    )
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()


def drain_once(directory: Path, sink: EventSink, *, batch_records: int = 100) -> None:
    """Deliver what is there."""
    stop = threading.Event()
    stop.set()
    with draining(directory, sink, batch_records=batch_records):
        pass


def write_journal(directory: Path, count: int, *, segment_bytes: int = 2000) -> list[Place]:
    """A journal of a process that has ended."""
    journal = Journal.open(directory, segment_bytes=segment_bytes)
    places = [append(journal, shard) for shard in range(2) for _ in range(count // 2)]
    journal.close()
    return places


# Delivering


def test_all_journals_are_delivered_each_in_order_and_their_segments_deleted(tmp_path: Path) -> None:
    written = [write_journal(tmp_path, 500) for _ in range(3)]
    sink = RecordingSink()
    drain_once(tmp_path, sink)
    for places in written:
        assert of_journal(sink.places, places[0].journal) == places
    assert len(sink.places) == 1500
    assert files(tmp_path) == set()
    assert all(len(batch) <= 100 for batch in sink.batches)


def test_a_live_journal_is_followed(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    sink = RecordingSink()
    written = []
    with draining(tmp_path, sink):
        for _ in range(20):
            written.append(append(journal))
            wait_until(lambda: sink.places == written, "it is delivered")
        assert segment_name(journal.id, 1) in files(tmp_path)
        journal.close()
        wait_until(lambda: not files(tmp_path), "the segment is deleted")


def test_nothing_is_lost_while_segments_change_under_the_drain(tmp_path: Path) -> None:
    """Segments of a few records each, so that every read races with a change of segment."""
    sink = RecordingSink()
    with draining(tmp_path, sink):
        journal = Journal.open(tmp_path, segment_bytes=300)
        written = [append(journal) for _ in range(3000)]
        journal.close()
        wait_until(lambda: not files(tmp_path), "all is delivered")
    assert sink.places == written
    assert sum(map(len, sink.batches)) == 3000


def test_a_busy_journal_does_not_starve_the_others(tmp_path: Path) -> None:
    journals = {write_journal(tmp_path, 400)[0].journal for _ in range(3)}
    sink = RecordingSink()
    drain_once(tmp_path, sink, batch_records=100)
    for number in range(0, 9, 3):
        batches = sink.batches[number : number + 3]
        assert {place.journal for batch in batches for place in batch} == journals


def test_a_full_journal_goes_on_once_it_is_drained(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=100_000, max_bytes=20_000)
    written = []
    with pytest.raises(JournalFull):
        while True:
            written.append(append(journal))
    sink = RecordingSink()
    with draining(tmp_path, sink):
        wait_until(lambda: _try_to_append(journal, written), "it takes records again")
        wait_until(lambda: sink.places == written, "all is delivered")
    journal.close()
    assert [place.sequence for place in written] == list(range(1, len(written) + 1))


def _try_to_append(journal: Journal, written: list[Place]) -> bool:
    try:
        written.append(append(journal))
    except JournalFull:
        return False
    return True


def test_what_is_there_when_it_is_stopped_is_delivered_first(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    written = [append(journal) for _ in range(1000)]
    sink = RecordingSink()
    drain_once(tmp_path, sink, batch_records=10)
    assert sink.places == written
    journal.close()


def test_a_missing_directory_and_stray_files_are_no_trouble(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    assert (status(directory), backlog_bytes(directory), is_alive(directory)) == (DrainStatus(), 0, False)
    drain_once(directory, RecordingSink())
    for name in ("notes.txt", "0123456789abcdef-00000001.new", "x-00000001.seg"):
        (directory / name).write_text("stray")
    written = write_journal(directory, 10)
    sink = RecordingSink()
    drain_once(directory, sink)
    assert sink.places == written
    assert files(directory) == {"x-00000001.seg"}


# When something is wrong


def test_an_unavailable_store_gets_the_same_batch_again(tmp_path: Path) -> None:
    written = write_journal(tmp_path, 300)
    sink = RecordingSink()
    sink.available = False
    with draining(tmp_path, sink):
        wait_until(lambda: sink.attempts > 1, "it tries again")
        wait_until(lambda: "the store is down" in status(tmp_path).trouble, "it says so")
        assert backlog_bytes(tmp_path) > 0
        sink.available = True
        wait_until(lambda: sink.places == written, "all is delivered")
    assert status(tmp_path).trouble == ""
    assert status(tmp_path).delivered == 300


def test_a_drain_stopped_while_the_store_is_down_loses_nothing(tmp_path: Path) -> None:
    written = write_journal(tmp_path, 300)
    sink = RecordingSink()
    sink.available = False
    with draining(tmp_path, sink):
        wait_until(lambda: sink.attempts, "it tries")
    sink.available = True
    drain_once(tmp_path, sink)
    assert sink.places == written


def test_an_error_of_the_sink_ends_the_drain_and_the_next_one_delivers(tmp_path: Path) -> None:
    class BrokenSink(EventSink):
        def deliver(self, records: Sequence[Record]) -> list[Refusal]:
            raise ZeroDivisionError

    written = write_journal(tmp_path, 10)
    with pytest.raises(ZeroDivisionError):
        drain(tmp_path, BrokenSink(), stop=threading.Event())
    sink = RecordingSink()
    drain_once(tmp_path, sink)
    assert sink.places == written


def test_refused_records_become_dead_letters_and_the_rest_goes_on(tmp_path: Path) -> None:
    written = write_journal(tmp_path, 200)
    sink = RecordingSink(refused=lambda place: place.sequence % 50 == 0)
    drain_once(tmp_path, sink)
    refused = [place for place in written if place.sequence % 50 == 0]
    letters = [letter for path in dead_letter_files(tmp_path) for letter in read_refusals(path)]
    assert [place_of(letter.record) for letter in letters] == refused
    assert {letter.reason for letter in letters} == {"it is unwanted"}
    assert sink.places == [place for place in written if place not in refused]
    told = status(tmp_path)
    assert (told.delivered, told.dead_letters, told.dead_letter_bytes > 0) == (200, 4, True)


def test_dead_letters_are_on_disk_before_the_mark_moves(tmp_path: Path) -> None:
    """A directory stands where the file must go: the batch is held, and delivered letters are not lost."""
    written = write_journal(tmp_path, 10, segment_bytes=100_000)
    blocked = tmp_path / "00000001.dead"
    blocked.mkdir()
    sink = RecordingSink(refused=lambda _: True)
    (segment,) = next(iter(find_segments(tmp_path).values()))
    with draining(tmp_path, sink):
        wait_until(lambda: "cannot be delivered" in status(tmp_path).trouble, "it says so")
        assert (segment.path.exists(), read_mark(segment.path)) == (True, 0)
        blocked.rmdir()
        wait_until(lambda: not segment.path.exists(), "it goes on")
    assert [place_of(letter.record) for letter in read_refusals(blocked)] == written


def test_an_unreadable_segment_holds_up_its_own_journal_only(tmp_path: Path) -> None:
    later, other = write_journal(tmp_path, 10), write_journal(tmp_path, 10)
    first = tmp_path / segment_name(later[0].journal, 0)
    first.mkdir()
    sink = RecordingSink()
    with draining(tmp_path, sink):
        wait_until(lambda: sink.places == other, "the other journal is delivered")
        wait_until(lambda: first.name in status(tmp_path).trouble, "it says so")
        assert sink.places == other
        first.rmdir()
        wait_until(lambda: sink.places == other + later, "its journal is delivered")


def test_damage_is_passed_over_and_counted(tmp_path: Path) -> None:
    written = write_journal(tmp_path, 10, segment_bytes=100_000)
    (segment,) = next(iter(find_segments(tmp_path).values()))
    data = bytearray(segment.path.read_bytes())
    data[20] ^= 1
    segment.path.write_bytes(data + b"torn")
    sink = RecordingSink()
    drain_once(tmp_path, sink)
    assert sink.places == written[1:]
    assert status(tmp_path).lost_bytes == 14 + len(payload(written[0])) + len(b"torn")


@pytest.mark.parametrize("mark", [b"", b"short", bytes(12)[:-1] + b"x"])
def test_a_damaged_mark_means_from_the_start(tmp_path: Path, mark: bytes) -> None:
    written = write_journal(tmp_path, 10, segment_bytes=100_000)
    (segment,) = next(iter(find_segments(tmp_path).values()))
    mark_path(segment.path).write_bytes(mark)
    sink = RecordingSink()
    drain_once(tmp_path, sink)
    assert sink.places == written
    assert files(tmp_path) == set()


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_just_made_is_not(tmp_path: Path) -> None:
    now = time.time()
    for name, age_seconds in (("a.new", 7200), ("b.new", 60), ("a.probe", 7200), ("b.probe", 60), ("a.mark", 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now, now - age_seconds))
    delete_orphans(tmp_path, now)
    assert {path.name for path in tmp_path.iterdir()} == {"b.new", "b.probe"}


def test_a_mark_says_where_the_next_drain_goes_on(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    before = [append(journal) for _ in range(10)]
    drain_once(tmp_path, RecordingSink())
    after = [append(journal) for _ in range(10)]
    sink = RecordingSink()
    drain_once(tmp_path, sink)
    journal.close()
    assert sink.places == after
    assert read_mark(tmp_path / segment_name(journal.id, 1)) > 10 * len(payload(before[0]))


def test_a_mark_without_its_segment_is_removed(tmp_path: Path) -> None:
    write_mark(tmp_path / segment_name(5, 1), 100)
    drain_once(tmp_path, RecordingSink())
    assert files(tmp_path) == set()


# Who drains, and what it says


def test_only_one_drain_works_at_a_time(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    first, second = RecordingSink(), RecordingSink()
    with draining(tmp_path, second) as stop_second:
        append(journal)
        wait_until(lambda: second.places, "the only drain works")
        with draining(tmp_path, first):
            append(journal)
            wait_until(lambda: len(second.places) == 2, "it goes on")
            assert first.attempts == 0
            stop_second.set()
            wait_until(lambda: first.attempts or not append(journal), "the one that waited takes over")
    journal.close()


def test_a_drain_that_waits_can_be_stopped(tmp_path: Path) -> None:
    with draining(tmp_path, RecordingSink()):
        wait_until(lambda: is_alive(tmp_path), "the first works")
        with draining(tmp_path, RecordingSink()):
            pass
        assert is_alive(tmp_path)


def test_asking_whether_it_is_alive_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            is_alive(tmp_path)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for _ in range(5):
        write_journal(tmp_path, 2)
        with draining(tmp_path, RecordingSink()):
            wait_until(lambda: not files(tmp_path), "it works")
    enough.set()
    for asker in askers:
        asker.join()
    assert not is_alive(tmp_path)


def test_totals_go_on_in_the_next_drain(tmp_path: Path) -> None:
    for _ in range(3):
        write_journal(tmp_path, 10)
        drain_once(tmp_path, RecordingSink(refused=lambda place: place.sequence == 5))
    told = status(tmp_path)
    assert (told.delivered, told.dead_letters) == (30, 6)
    assert told.last_delivery_at == pytest.approx(time.time(), abs=60)
    (tmp_path / "drain.json").write_text("{}}")
    assert status(tmp_path) == DrainStatus()
    (tmp_path / "drain.json").write_text(json.dumps({"delivered": 5, "of a later version": 1}))
    assert status(tmp_path) == DrainStatus(delivered=5)


def test_the_backlog_is_what_is_not_delivered(tmp_path: Path) -> None:
    write_journal(tmp_path, 10)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.seg"))
    assert backlog_bytes(tmp_path) == size
    drain_once(tmp_path, RecordingSink())
    assert backlog_bytes(tmp_path) == status(tmp_path).backlog_bytes == 0

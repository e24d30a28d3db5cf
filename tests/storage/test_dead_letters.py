"""Refused records: kept, shown, and handed to the drain again."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bandit.event import BannerEvent, UndecodableEvent, decode, encode
from storage.base import EventSink, Record, Refusal
from storage.dead_letters import main, replay
from storage.drain import drain
from storage.journal import Journal, JournalFull
from storage.refused import dead_letter_bytes, dead_letter_files, read_refusals, write_refusals
from storage.segments import MAX_RECORD_BYTES

EVENT = BannerEvent(
    kind="served",
    impression_id=bytes(16),
    tenant="acme",
    slot="home",
    city="mumbai",
    banner="b1",
    policy="learned",
    day=19_800,
    served_at=1_710_720_000_000_000,
    received_at=1_710_720_000_000_000,
    propensity=0.5,
    reason="learned",
    verdict="accepted",
    journal=77,
    sequence=1,
)


class PickySink(EventSink):
    """Refuses what is no event, and events of tenants it does not know."""

    def __init__(self, *tenants: str) -> None:
        self.tenants = tenants
        self.taken: list[Record] = []

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        reasons = [(record, self._reason(record)) for record in records]
        self.taken += [record for record, reason in reasons if reason is None]
        return [Refusal(record, reason) for record, reason in reasons if reason is not None]

    def _reason(self, record: Record) -> str | None:
        try:
            event = decode(record.payload)
        except UndecodableEvent as error:
            return str(error)
        return None if event.tenant in self.tenants else f"tenant {event.tenant}: unknown"


def letters(directory: Path) -> list[Refusal]:
    return [letter for path in dead_letter_files(directory) for letter in read_refusals(path)]


def record(sequence: int, tenant: str = "acme") -> Record:
    return Record(3, encode(EVENT._replace(tenant=tenant, sequence=sequence, shard=3)))


def drain_once(directory: Path, sink: EventSink) -> None:
    stop = threading.Event()
    stop.set()
    drain(directory, sink, stop=stop)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Settings under which tmp_path/journal is the journal."""
    (tmp_path / "journal").mkdir()
    return {"BANNER_DATA_DIRECTORY": str(tmp_path)}


def test_refusals_are_kept_as_they_are(tmp_path: Path) -> None:
    refusals = [
        Refusal(Record(7, b"payload"), "because"),
        Refusal(Record(65535, b""), ""),
        Refusal(Record(0, bytes(MAX_RECORD_BYTES)), "the longest record there is"),
        Refusal(Record(1, b"more"), "नहीं"),
    ]
    write_refusals(tmp_path, refusals[:2])
    write_refusals(tmp_path, refusals[2:])
    assert letters(tmp_path) == refusals
    assert dead_letter_bytes(tmp_path) == sum(path.stat().st_size for path in dead_letter_files(tmp_path))


def test_a_long_reason_is_cut(tmp_path: Path) -> None:
    write_refusals(tmp_path, [Refusal(Record(0, bytes(MAX_RECORD_BYTES)), "x" * 70_000)])
    assert letters(tmp_path) == [Refusal(Record(0, bytes(MAX_RECORD_BYTES)), "x" * 1000)]


def test_dead_letters_fill_files_of_bounded_size(tmp_path: Path) -> None:
    refusals = [Refusal(Record(0, bytes(50)), f"number {number}") for number in range(20)]
    for refusal in refusals:
        write_refusals(tmp_path, [refusal], file_bytes=300)
    assert len(dead_letter_files(tmp_path)) == 5
    assert letters(tmp_path) == refusals


def test_a_torn_dead_letter_harms_no_other(tmp_path: Path) -> None:
    refusals = [Refusal(Record(0, bytes(50)), f"number {number}") for number in range(3)]
    write_refusals(tmp_path, refusals[:2])
    (path,) = dead_letter_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    write_refusals(tmp_path, refusals[2:])
    assert letters(tmp_path) == [refusals[0], refusals[2]]


def test_list_shows_what_was_refused_and_why(
    tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    timeless = Record(0, encode(EVENT._replace(received_at=(1 << 63) - 1)))
    refused = [(record(1), "tenant acme: unknown"), (Record(0, b"\xff"), "not an event\x1b[2J"), (timeless, "no time")]
    write_refusals(tmp_path / "journal", [Refusal(*one) for one in refused])
    assert main(["list"], environ) == 0
    title, known, undecodable, strange, total = capsys.readouterr().out.splitlines()
    assert "tenant" in title
    assert known.split(maxsplit=5) == ["2024-03-18", "00:00:00", "served", "acme", "home", "tenant acme: unknown"]
    assert undecodable.endswith("not an event?[2J")
    assert strange.endswith("no time")
    assert total == "3 dead letters"


def test_replayed_records_reach_the_sink_as_they_were(
    tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "journal"
    records = [record(sequence) for sequence in range(1, 6)]
    write_refusals(directory, [Refusal(one, "unknown") for one in records])
    assert main(["replay"], environ) == 0
    assert "5 dead letters" in capsys.readouterr().out
    assert letters(directory) == []
    sink = PickySink("acme")
    drain_once(directory, sink)
    assert sink.taken == records


def test_what_is_refused_again_comes_back(tmp_path: Path, environ: dict[str, str]) -> None:
    directory = tmp_path / "journal"
    records = [record(1, "acme"), record(2, "nobody"), Record(0, b"rubbish")]
    write_refusals(directory, [Refusal(one, "at first") for one in records])
    assert main(["replay"], environ) == 0
    sink = PickySink("acme")
    drain_once(directory, sink)
    assert sink.taken == records[:1]
    assert [letter.record for letter in letters(directory)] == records[1:]


def test_without_dead_letters_there_is_nothing_to_do(
    tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("list", "replay"):
        assert main([command], environ) == 0
        assert capsys.readouterr().out == "no dead letters\n"
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_full_journal_keeps_the_dead_letters(tmp_path: Path) -> None:
    refusals = [Refusal(record(sequence), "unknown") for sequence in range(1, 30)]
    write_refusals(tmp_path, refusals)
    journal = Journal.open(tmp_path, sync="always", max_bytes=dead_letter_bytes(tmp_path) + 1500)
    with pytest.raises(JournalFull):
        replay(tmp_path, journal)
    journal.close()
    assert letters(tmp_path) == refusals


def test_a_replay_that_fails_says_why(
    tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "journal"
    write_refusals(directory, [Refusal(record(1), "unknown")])
    with (directory / "00000000.dead").open("wb") as file:
        file.truncate(2 << 20)
    limits = {"BANNER_JOURNAL_MAX_MIB": "1", "BANNER_JOURNAL_SEGMENT_MIB": "1"}
    assert main(["replay"], environ | limits) == 1
    assert "the drain has to deliver first" in capsys.readouterr().err
    assert [letter.record for letter in letters(directory)] == [record(1)]


def test_wrong_arguments_and_settings_end_with_2(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"], environ | {"BANNER_DRAIN_IDLE_MS": "soon"}) == 2
    assert "drain.idle_ms" in capsys.readouterr().err
    for arguments in ([], ["burn"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments, environ)
        assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main(["--help"], environ)
    assert ended.value.code == 0

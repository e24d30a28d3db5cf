"""Reading segments, whole and damaged."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Record
from storage.segment_files import Segment, find_segments, segment_name
from storage.segments import HEADER, MAGIC, MAX_PAYLOAD_BYTES, Chunk, frame, read
from tests.storage.journal_records import lost_bytes

Records = list[Record]


def read_everything(path: Path, *, max_records: int = 1000) -> Records:
    """All records of a finished segment, so many at a time."""
    found: Records = []
    chunk = Chunk([], 0, 0, at_end=False)
    while not chunk.at_end:
        before, chunk = chunk, read(path, chunk.next_offset, max_records, live=False)
        assert chunk.at_end or chunk.next_offset > before.next_offset
        found += chunk.records
    assert chunk.next_offset == path.stat().st_size
    return found


def some_records(rng: random.Random, count: int, longest: int = 400) -> Records:
    return [Record(rng.randrange(65536), rng.randbytes(rng.randrange(longest))) for _ in range(count)]


def spans(records: Records) -> list[tuple[int, int]]:
    """Where each frame begins and ends."""
    ends = [0]
    for record in records:
        ends.append(ends[-1] + HEADER.size + len(record.payload))
    return list(pairwise(ends))


def bytes_of(records: Records) -> bytes:
    return b"".join(frame(*record) for record in records)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    records = [*some_records(random.Random(1), 500), Record(0, b""), Record(65535, bytes(1 << 20))]
    path = tmp_path / "one"
    path.write_bytes(bytes_of(records))
    assert read_everything(path) == records
    assert read_everything(path, max_records=7) == records
    assert lost_bytes(path) == 0


def test_every_intact_frame_survives_a_cut_or_a_flipped_bit_anywhere(tmp_path: Path) -> None:
    """1,000 places, seeded. No record is found that was not written."""
    rng = random.Random(20_240_601)
    records = some_records(rng, 120)
    whole = bytes_of(records)
    path = tmp_path / "one"
    for number in range(1000):
        place = rng.randrange(len(whole))
        if number % 2:
            path.write_bytes(whole[:place])
            intact = [record for record, (_, end) in zip(records, spans(records), strict=True) if end <= place]
        else:
            flipped = whole[place] ^ (1 << rng.randrange(8))
            path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
            intact = [
                record for record, (start, end) in zip(records, spans(records), strict=True) if not start <= place < end
            ]
        assert read_everything(path, max_records=rng.choice((1, 10, 1000))) == intact
        assert lost_bytes(path) == path.stat().st_size - len(bytes_of(intact))


def test_damage_at_the_seams_of_large_reads_loses_one_frame_each(tmp_path: Path) -> None:
    rng = random.Random(2)
    records = some_records(rng, 25, longest=300_000)
    path = tmp_path / "one"
    for _ in range(40):
        data = bytearray(bytes_of(records))
        damaged = {rng.randrange(25), rng.randrange(25)}
        for number in damaged:
            start, end = spans(records)[number]
            data[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        assert read_everything(path) == [record for at, record in enumerate(records) if at not in damaged]


def test_a_megabyte_of_rubbish_is_passed_over(tmp_path: Path) -> None:
    rng = random.Random(3)
    before, after = some_records(rng, 5), some_records(rng, 5)
    path = tmp_path / "one"
    path.write_bytes(bytes_of(before) + bytes(3 << 20) + bytes_of(after))
    assert read_everything(path) == before + after
    assert lost_bytes(path) == 3 << 20


def test_a_length_beyond_any_record_is_damage(tmp_path: Path) -> None:
    last = Record(1, b"intact")
    path = tmp_path / "one"
    path.write_bytes(HEADER.pack(MAGIC, MAX_PAYLOAD_BYTES + 1, 0, 0) + frame(*last))
    assert read(path, 0, 10, live=True).records == [last]


framed = st.recursive(
    st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: b"".join(frame(1, part) for part in parts)),
    max_leaves=6,
)


@given(st.lists(framed, max_size=6))
def test_a_frame_within_a_payload_is_no_frame(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "nested"
    records = [Record(3, payload) for payload in payloads]
    path.write_bytes(bytes_of(records))
    assert read_everything(path) == records


@given(st.lists(st.tuples(st.binary(max_size=30), framed), max_size=5))
def test_frames_between_rubbish_are_found(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bytes, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "rubbish"
    rubbish = [junk.replace(MAGIC.to_bytes(4, "little")[:1], b"") for junk, _ in parts]
    records = [Record(3, payload) for _, payload in parts]
    path.write_bytes(b"".join(junk + frame(*record) for junk, record in zip(rubbish, records, strict=True)))
    assert read_everything(path) == records
    assert lost_bytes(path) == sum(map(len, rubbish))


def test_an_unfinished_frame_of_a_live_segment_is_waited_for(tmp_path: Path) -> None:
    """Also when what is there of it contains a whole frame."""
    first, last = Record(1, b"first"), Record(2, b"<" + frame(3, b"not a record") + b">")
    start = len(frame(*first))
    path = tmp_path / "one"
    for length in range(len(frame(*last))):
        path.write_bytes(frame(*first) + frame(*last)[:length])
        assert read(path, 0, 10, live=True) == Chunk([first], start, 0, at_end=True)
    path.write_bytes(bytes_of([first, last]))
    assert read(path, start, 10, live=True).records == [last]


def test_damage_in_a_live_segment_is_passed_over_once_a_frame_follows(tmp_path: Path) -> None:
    first, last = Record(1, b"first"), Record(2, b"last")
    damaged = bytearray(bytes_of([first, first]))
    damaged[15] ^= 1
    path = tmp_path / "one"
    path.write_bytes(damaged[: len(damaged) // 2])
    assert read(path, 0, 10, live=True) == Chunk([], 0, 0, at_end=True)
    path.write_bytes(damaged + frame(*last))
    assert read(path, 0, 10, live=True).records == [first, last]


def test_segments_are_found_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    names = [segment_name(journal, number) for journal in (7, 1 << 62) for number in (1, 2, 10)]
    for name in [*reversed(names), "drain.json", "notes.txt", names[0].replace(".seg", ".mark"), "7-1.seg"]:
        (tmp_path / name).touch()
    found = find_segments(tmp_path)
    assert [segment.path.name for journal in found.values() for segment in journal] == names
    assert found[f"{7:016x}"][2] == Segment(f"{7:016x}", 10, tmp_path / names[2])
    assert find_segments(tmp_path / "missing") == {}

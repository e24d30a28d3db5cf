"""What the journal tests share: records that say where they belong, and waiting for something to come true."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from storage.base import Record
from storage.journal import Encode, Journal
from storage.segment_files import find_segments
from storage.segments import read, read_all

PLACE = Struct("<QHQ")


class Place(NamedTuple):
    """The identity of a test record."""

    journal: int
    shard: int
    sequence: int


def payload(place: Place) -> bytes:
    """Unlike any other, and of changing length."""
    filler = bytes((place.sequence * 31 + number) % 256 for number in range(place.sequence % 60))
    return PLACE.pack(*place) + filler


def place_of(record: Record) -> Place:
    """Where the record belongs; fails for a record that nobody wrote."""
    place = Place(*PLACE.unpack_from(record.payload))
    assert record == Record(place.shard, payload(place))
    return place


def append(journal: Journal, shard: int = 0) -> Place:
    """One record more; returns it once it is acknowledged."""
    places: list[Place] = []
    journal.append(shard, encoder(journal, shard, places))
    return places[0]


def append_all(journal: Journal, *shards: int) -> list[Place]:
    """A record more for each, all together."""
    places: list[Place] = []
    journal.append_all([(shard, encoder(journal, shard, places)) for shard in shards])
    return places


def encoder(journal: Journal, shard: int, places: list[Place]) -> Encode:
    """Makes the record of a sequence, and notes where it belongs."""

    def encode(sequence: int) -> bytes:
        places.append(Place(journal.id, shard, sequence))
        return payload(places[-1])

    return encode


def places_in(directory: Path) -> list[Place]:
    """All records in the segments of a directory, journal by journal, in order."""
    return [place_of(record) for path in segments(directory) for record in read_all(path)]


def segments(directory: Path) -> list[Path]:
    """All of a directory, journal by journal."""
    return [segment.path for journal in find_segments(directory).values() for segment in journal]


def files(directory: Path) -> set[str]:
    """Segments and marks."""
    return {path.name for pattern in ("*.seg", "*.mark") for path in directory.glob(pattern)}


def of_journal(places: Sequence[Place], journal: int) -> list[Place]:
    """Those of one journal."""
    return [place for place in places if place.journal == journal]


def lost_bytes(path: Path) -> int:
    """Damaged bytes of a finished segment."""
    lost, offset, at_end = 0, 0, False
    while not at_end:
        _, offset, more, at_end = read(path, offset, 1000, live=False)
        lost += more
    return lost


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Poll until it holds; an assertion error that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.005)

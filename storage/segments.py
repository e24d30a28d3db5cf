"""What is inside a segment: frames back to back, and reading them, also where they are damaged.

A frame is `magic u32 | length u32 | crc32(length, shard, payload) u32 | shard u16 | payload`, little endian.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from storage.base import Record

MAX_RECORD_BYTES = 1 << 20
"""The longest record a journal takes; an event has some 300 bytes."""

MAX_PAYLOAD_BYTES = MAX_RECORD_BYTES + 1024
"""The longest payload a frame may claim, so that a flipped length cannot make a reader swallow gigabytes. The room
above a record holds the reason beside a refused one."""

MAGIC = 0xFE4A42F5
"""As bytes f5 42 4a fe. The outer two occur in no UTF-8 text, so no name that a visitor sends can look like a frame."""

HEADER = Struct("<IIIH")
_CHECKED = Struct("<IH")
_header, _checked = HEADER.pack, _CHECKED.pack
_MAGIC_BYTES = MAGIC.to_bytes(4, "little")

_CHUNK_BYTES = MAX_PAYLOAD_BYTES + (64 << 10)
"""Read at once; more than the longest frame, so that a frame at the start of a chunk is never cut off by its end."""


class Chunk(NamedTuple):
    """What one read found."""

    records: list[Record]
    next_offset: int
    """Where the next read goes on; always the start of a frame, or of what is not a frame yet."""
    lost_bytes: int
    """Bytes between the offset and next_offset that belong to no intact frame."""
    at_end: bool
    """Nothing more can be taken from the segment as it was when it was read."""


def frame(shard: int, payload: bytes) -> bytes:
    """The record as it stands in a segment."""
    length = len(payload)
    return _header(MAGIC, length, crc32(payload, _crc_of_head(length, shard)), shard) + payload


@lru_cache(maxsize=4096)
def _crc_of_head(length: int, shard: int) -> int:
    return crc32(_checked(length, shard))


def read(path: Path, offset: int, max_records: int, *, live: bool) -> Chunk:
    """At most max_records records from offset on, in order; OSError when the file cannot be read.

    What is damaged is skipped up to the next intact frame and counted. `live` says that the file's writer may still be
    at work: then a bad tail is a frame that is not complete yet; in a finished segment it is lost. Find out whether the
    writer lives *before* this call: afterwards it may have written more than was read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        there = max(0, os.fstat(descriptor).st_size - offset)
        data = os.pread(descriptor, min(there, _CHUNK_BYTES), offset)
    finally:
        os.close(descriptor)
    scan = _Scan(data, to_end=len(data) < _CHUNK_BYTES, live=live)
    return scan.run(offset, max_records)


def read_all(path: Path) -> Iterator[Record]:
    """Every record of a finished segment that is intact."""
    chunk = Chunk([], 0, 0, at_end=False)
    while not chunk.at_end:
        chunk = read(path, chunk.next_offset, 1000, live=False)
        yield from chunk.records


class _Scan:
    """One pass over the bytes of a chunk; `to_end` says that the file ends where they end."""

    def __init__(self, data: bytes, *, to_end: bool, live: bool) -> None:
        self._data = data
        self._view = memoryview(data)
        self._to_end = to_end
        self._live = live
        self._position = 0
        self._lost_bytes = 0

    def run(self, offset: int, max_records: int) -> Chunk:
        records: list[Record] = []
        self._take(records, max_records)
        while len(records) < max_records and self._position < len(self._data):
            if not self._skip_damage():
                return Chunk(records, offset + self._position, self._lost_bytes, at_end=self._to_end)
            self._take(records, max_records)
        at_end = self._to_end and self._position == len(self._data)
        return Chunk(records, offset + self._position, self._lost_bytes, at_end)

    def _take(self, records: list[Record], max_records: int) -> None:
        """Take intact frames up to the first thing that is none."""
        data, view, position = self._data, self._view, self._position
        last_header = len(data) - HEADER.size
        while position <= last_header and len(records) < max_records:
            magic, length, crc, shard = HEADER.unpack_from(data, position)
            end = position + HEADER.size + length
            if magic != MAGIC or end > len(data) or _crc(view, position, end) != crc:
                break
            records.append(Record(shard, data[position + HEADER.size : end]))
            position = end
        self._position = position

    def _skip_damage(self) -> bool:
        """Move on to the next intact frame, or to the end; False where more bytes must come first."""
        if self._waits_at(self._position):
            return False
        candidate = self._position
        while (candidate := self._data.find(_MAGIC_BYTES, candidate + 1)) >= 0:
            if self._is_frame(candidate):
                self._lose_until(candidate)
                return True
            if self._waits_at(candidate):
                # Only a chunk that is not the last proves that what precedes is lost: it held a whole frame's bytes.
                if not self._to_end:
                    self._lose_until(candidate)
                return False
        return self._lose_tail()

    def _lose_tail(self) -> bool:
        """No frame begins in the rest of the chunk."""
        if not self._to_end:
            overlap = len(_MAGIC_BYTES) - 1
            self._lose_until(max(self._position + 1, len(self._data) - overlap))
            return False
        if self._live:
            return False
        self._lose_until(len(self._data))
        return True

    def _lose_until(self, position: int) -> None:
        self._lost_bytes += position - self._position
        self._position = position

    def _waits_at(self, position: int) -> bool:
        """Whether bytes that may still come could complete a frame here.

        In a live segment nothing behind such a place is looked at: a frame being written may hold anything.
        """
        return (self._live or not self._to_end) and self._is_cut_off(position)

    def _is_cut_off(self, position: int) -> bool:
        if not _MAGIC_BYTES.startswith(self._data[position : position + 4]):
            return False
        if position + HEADER.size > len(self._data):
            return True
        length: int = HEADER.unpack_from(self._data, position)[1]
        return length <= MAX_PAYLOAD_BYTES and position + HEADER.size + length > len(self._data)

    def _is_frame(self, position: int) -> bool:
        if position + HEADER.size > len(self._data):
            return False
        length: int
        crc: int
        _, length, crc, _ = HEADER.unpack_from(self._data, position)
        end = position + HEADER.size + length
        return end <= len(self._data) and _crc(self._view, position, end) == crc


def _crc(view: memoryview, position: int, end: int) -> int:
    """Over the length, which stands before the CRC, and the shard and payload behind it."""
    return crc32(view[position + 12 : end], crc32(view[position + 4 : position + 8]))

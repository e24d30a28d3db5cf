"""How far each segment has been delivered: a small file beside it.

A mark is overwritten in place and never synced. After a crash it may stand too low, or hold nothing valid and count as
0: then records are delivered again, and the sink knows them by their journal and sequence. It never stands too high,
since it moves only after the sink has taken the records for good.
"""

import os
from contextlib import suppress
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from zlib import crc32

_MARK = Struct("<QI")
_SHORT_LIVED_SECONDS = 3600.0
"""Files that live for less than a second; older ones belong to nobody. A younger one may belong to a live journal."""


def mark_path(segment: Path) -> Path:
    """The mark that belongs to a segment."""
    return segment.with_suffix(".mark")


def read_mark(segment: Path) -> int:
    """Bytes of the segment that are done with; 0 where there is no valid mark."""
    try:
        offset, crc = _MARK.unpack(mark_path(segment).read_bytes())
    except (FileNotFoundError, struct_error):
        return 0
    return int(offset) if crc == _crc(offset) else 0


def write_mark(segment: Path, offset: int) -> None:
    """Move the mark; OSError when it cannot be written."""
    descriptor = os.open(mark_path(segment), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, _MARK.pack(offset, _crc(offset)), 0)
    finally:
        os.close(descriptor)


def delete_segment(segment: Path) -> None:
    """Remove a segment with its mark. In this order: a segment without a mark would be delivered again."""
    segment.unlink(missing_ok=True)
    mark_path(segment).unlink(missing_ok=True)


def delete_orphans(directory: Path, now_seconds: float) -> None:
    """Remove marks whose segment is gone, and what a killed process left of making a segment or trying the disk."""
    for mark in directory.glob("*.mark"):
        if not mark.with_suffix(".seg").exists():
            mark.unlink(missing_ok=True)
    for path in (*directory.glob("*.new"), *directory.glob("*.probe")):
        with suppress(FileNotFoundError):  # whoever made it is done with it
            if now_seconds - path.stat().st_mtime > _SHORT_LIVED_SECONDS:
                path.unlink()


def _crc(offset: int) -> int:
    return crc32(offset.to_bytes(8, "little"))

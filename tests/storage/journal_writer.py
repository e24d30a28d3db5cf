"""Processes that write a journal, for tests that kill them or starve them: `python -m tests.storage.journal_writer`."""

import json
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

from storage.journal import Journal, JournalFull, JournalUnwritable
from tests.storage.journal_records import PLACE, Place, append, append_all, places_in, wait_until


def acknowledge(directory: Path, acknowledged: Path, ahead: int) -> None:
    """Append for ever to two shards, writing down each record before the next.

    With `ahead`, as a journal must not do it: so many records are acknowledged before the first of them is written.
    """
    journal = Journal.open(directory, segment_bytes=32 << 10)
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sequence = 0
    while True:
        for number in range(1, ahead + 1):
            os.write(out, PLACE.pack(*Place(journal.id, 0, sequence + number)))
        for _ in range(ahead):
            sequence = append(journal, 0).sequence
        if not ahead:
            for shard in (0, 7):
                os.write(out, PLACE.pack(*append(journal, shard)))


def paced(directory: Path, acknowledged: Path, per_second: int) -> None:
    """Append for ever at a bounded rate, writing down each record before the next."""
    journal = Journal.open(directory, segment_bytes=8 << 10)
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        os.write(out, PLACE.pack(*append(journal)))
        time.sleep(1 / per_second)


def limited(directory: Path, together: int) -> None:
    """Files may not grow beyond 10,000 bytes, though segments should be larger: writes come out short, then fail. So
    many records are appended together."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    journal = Journal.open(directory, segment_bytes=1 << 20)
    acknowledged, refused = [], 0
    for _ in range(2000 // together):
        try:
            acknowledged += append_all(journal, *[0] * together)
        except JournalUnwritable:
            refused += together
    wait_until(lambda: _accepts(journal), "the journal is ready again")
    journal.close()
    print(json.dumps({"acknowledged": acknowledged, "refused": refused}))


def starved(directory: Path) -> None:
    """The directory is a file system of its own, and tiny: it fills up, and gets room again."""
    ballast = directory / "ballast"
    ballast.write_bytes(bytes(64 << 10))
    journal = Journal.open(directory, segment_bytes=1 << 20)
    acknowledged = _append_until_refused(journal)
    assert not _accepts(journal)
    ballast.unlink()
    wait_until(lambda: _accepts(journal), "the journal is ready again")
    acknowledged += _append_until_refused(journal)
    journal.close()
    print(json.dumps({"acknowledged": acknowledged, "found": places_in(directory)}))


def _append_until_refused(journal: Journal) -> list[Place]:
    acknowledged = []
    with suppress(JournalUnwritable):
        while True:
            acknowledged.append(append(journal))
    return acknowledged


def _accepts(journal: Journal) -> bool:
    try:
        journal.check()
    except (JournalUnwritable, JournalFull):
        return False
    return True


if __name__ == "__main__":
    kind, directory, *rest = sys.argv[1:]
    if kind == "acknowledge":
        acknowledge(Path(directory), Path(rest[0]), int(rest[1]))
    elif kind == "paced":
        paced(Path(directory), Path(rest[0]), int(rest[1]))
    elif kind == "limited":
        limited(Path(directory), int(rest[0]))
    else:
        starved(Path(directory))

"""From the embedded store's events to the archive, piece by piece."""

from collections.abc import Callable
from pathlib import Path

from storage.archive import ArchiveDirectory, ArchiveError, Manifest, Stored
from storage.archive_tidying import alone
from storage.sqlite import SqliteStore

CHUNK_EVENTS = 100_000

Say = Callable[[str], object]


def export(store: SqliteStore, archive: ArchiveDirectory, now_us: int, say: Say, *, chunk: int = CHUNK_EVENTS) -> int:
    """Archive all events there are now; how many were new. Raises ArchiveError, MissingPackage, StoreUnavailable,
    OSError."""
    if archive.create(Manifest()).topic:
        raise ArchiveError(f"the archive at {archive.path} is filled from Kafka; archive.directory names another place")
    with alone(archive):
        pruned, first, last = store.first_and_last_event()
        manifest = archive.manifest()
        _check_is_its_store(store, archive, manifest, max(pruned, last))
        if max(pruned, first - 1) >= manifest.next_offset:
            manifest = archive.change(complete_since_us=now_us)
            say("the store had forgotten some events before they were archived; days until today cannot be recounted")
        exported = 0
        while manifest.next_offset <= last or manifest.pending_offset:
            exported += _piece(store, archive, manifest, min(manifest.next_offset + chunk - 1, last))
            manifest = archive.manifest()
            say(f"{exported:,} events archived, up to number {manifest.next_offset - 1:,} of {last:,}")
    return exported


def is_begun(manifest: Manifest, path: Path) -> bool:
    """Whether the file is of a piece that an export began and has not ended: it will be written once more."""
    return path.name.startswith(_name_from(manifest.next_offset))


def _check_is_its_store(store: SqliteStore, archive: ArchiveDirectory, manifest: Manifest, last: int) -> None:
    """A store that was restored from a backup gives the numbers of archived events to others. Raises ArchiveError."""
    marks = [tuple(mark) for mark in (manifest.last_event, manifest.pending_event) if mark]
    there = [_mark(one) for number, *_ in marks for one in store.events_between(number, number)]
    if last < (manifest.pending_offset or manifest.next_offset - 1) or not set(there) <= set(marks):
        raise ArchiveError(
            f"the archive at {archive.path} is of another store, or of this one before a backup was restored: move the "
            "archive away, or let archive.directory name another place; what the store still holds is archived there"
        )


def _mark(stored: Stored) -> tuple[int, int, int]:
    """By which a manifest knows an event again."""
    return stored.log_offset, stored.event.journal, stored.event.sequence


def _piece(store: SqliteStore, archive: ArchiveDirectory, manifest: Manifest, last: int) -> int:
    """One piece, begun before or now: its end is noted first, so that it has the same name when it is written again."""
    first, last = manifest.next_offset, manifest.pending_offset or last
    events = store.events_between(first, last)
    mark = _mark(events[-1]) if events else manifest.last_event
    archive.change(pending_offset=last, pending_event=mark)
    archive.write(f"{_name_from(first)}{last:012d}", events)
    archive.change(next_offset=last + 1, pending_offset=None, last_event=mark, pending_event=())
    return len(events)


def _name_from(first: int) -> str:
    return f"events-{first:012d}-"

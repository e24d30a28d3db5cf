"""From the embedded store's events to the archive, piece by piece."""

from collections.abc import Callable

from storage.archive import ArchiveDirectory, ArchiveError, Manifest, Stored
from storage.archive_tidying import alone
from storage.sqlite import SqliteStore

CHUNK_EVENTS = 100_000

Say = Callable[[str], object]


def export(store: SqliteStore, archive: ArchiveDirectory, now_us: int, say: Say, *, chunk: int = CHUNK_EVENTS) -> int:
    """Archive all events there are now; how many were new. Raises ArchiveError, StoreUnavailable, OSError."""
    if archive.create(Manifest()).topic:
        raise ArchiveError(f"the archive at {archive.path} is filled from Kafka; archive.directory names another place")
    with alone(archive):
        pruned, _, last = store.first_and_last_event()
        manifest = archive.manifest()
        _check_is_its_store(store, archive, manifest, max(pruned, last))
        if pruned >= manifest.next_offset:
            manifest = archive.change(complete_since_us=now_us)
            say("the store had forgotten some events before they were archived; days until today cannot be recounted")
        exported = 0
        while manifest.next_offset <= last or manifest.pending_offset:
            exported += _piece(store, archive, manifest, min(manifest.next_offset + chunk - 1, last))
            manifest = archive.manifest()
            say(f"{exported:,} events archived, up to number {manifest.next_offset - 1:,} of {last:,}")
    return exported


def _check_is_its_store(store: SqliteStore, archive: ArchiveDirectory, manifest: Manifest, last: int) -> None:
    """A store that was restored from a backup gives the numbers of archived events to others. Raises ArchiveError."""
    known = tuple(manifest.last_event)
    there = store.events_between(known[0], known[0]) if known else []
    if last < manifest.next_offset - 1 or any(_identity(one) != known for one in there):
        raise ArchiveError(
            f"the archive at {archive.path} is of another store, or of this one before a backup was restored: move the "
            "archive away, or let archive.directory name another place; what the store still holds is archived there"
        )


def _identity(stored: Stored) -> tuple[int, int, int]:
    return stored.log_offset, stored.event.journal, stored.event.sequence


def _piece(store: SqliteStore, archive: ArchiveDirectory, manifest: Manifest, last: int) -> int:
    """One piece, begun before or now: its end is noted first, so that it has the same name when it is written again."""
    first, last = manifest.next_offset, manifest.pending_offset or last
    archive.change(pending_offset=last)
    events = store.events_between(first, last)
    archive.write(f"events-{first:012d}-{last:012d}", events)
    known = _identity(events[-1]) if events else manifest.last_event
    archive.change(next_offset=last + 1, pending_offset=None, last_event=known)
    return len(events)

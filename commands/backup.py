"""Copy store, journal, pictures and secrets into one file, while the service runs or not.

    python -m commands.backup [FILE]

The file holds the store, what the journal has not delivered yet, pictures, and the generated secrets. Keep it as safe
as these. Not in it are settings, the archive of events, which is copied apart, and a store in Cassandra, which has
snapshots of its own: with storage.backend = cassandra it holds the rest, of this host.

Exit codes: 0 done, 1 no backup was made, 2 the settings are wrong.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from commands.archive import ArchiveWriter, create
from data_directory import Paths
from settings import SettingsError, load
from storage.base import StoreUnavailable
from storage.sqlite import SqliteStore

JOURNAL_PATTERNS = ("*.mark", "*.dead", "*.seg", "drain.json")
"""In this order. A mark must not be newer than the segment beside it or than the dead letters before it."""


def back_up(
    paths: Paths, target: Path, made_at: datetime, say: Callable[[str], object], *, in_cassandra: bool = False
) -> None:
    """Write the archive; StoreUnavailable or OSError when that fails, and then there is none."""
    with create(target, made_at.isoformat(timespec="seconds")) as archive:
        # The journal before the store: an event delivered in between is in both and counts once, known by its journal
        # and sequence. The other way round it would be in neither.
        add_journal(archive, paths)
        say("journal copied")
        if in_cassandra:
            say("the store is in Cassandra and not in this backup; `nodetool snapshot` copies it")
        else:
            add_store(archive, paths, target.parent)
            say("store copied")
        add_files(archive, paths)
    name = paths.secrets.name
    held = f"with {name}" if name in archive.entries else f"without {name}: the secrets are in the settings"
    say(f"{target}: {len(archive.entries)} files, {target.stat().st_size:,} bytes, {held}")


def add_journal(archive: ArchiveWriter, paths: Paths) -> None:
    """Segments, marks and dead letters. A segment that vanishes meanwhile has been delivered."""
    for pattern in JOURNAL_PATTERNS:
        for path in sorted(paths.journal.glob(pattern)):
            archive.add(f"journal/{path.name}", path)


def add_store(archive: ArchiveWriter, paths: Paths, scratch: Path) -> None:
    """The store as of one moment, by way of a copy in the scratch directory."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".backup-") as directory:
        copy = Path(directory) / paths.database.name
        store = SqliteStore(paths.database)
        try:
            store.backup(copy)
        finally:
            store.close()
        archive.add(paths.database.name, copy)


def add_files(archive: ArchiveWriter, paths: Paths) -> None:
    """Secrets, demo keys and pictures."""
    for path in (paths.secrets, paths.demo, *sorted(paths.media.rglob("*"))):
        if path.is_file():
            archive.add(path.relative_to(paths.data).as_posix(), path)


def main(arguments: Sequence[str]) -> int:
    """The exit code; see above."""
    parser = argparse.ArgumentParser(prog="python -m commands.backup", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", nargs="?", type=Path, help="default: backups/banner-<time>.tar.gz")
    now = datetime.now(UTC)
    target = parser.parse_args(arguments).file or Path("backups", f"banner-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    try:
        settings = load(os.environ)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        back_up(settings.paths, target, now, print, in_cassandra=settings.storage.backend == "cassandra")
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (StoreUnavailable, OSError) as error:
        print(f"no backup was made: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

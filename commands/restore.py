"""Put a backup in place of the data directory's content, while the service is stopped.

    python -m commands.restore FILE [--force]

What is there already is never deleted: with --force it is moved to before-restore-<time>/ in the data directory. The
archive of events, which no backup holds, stays in archive/; where the restored store does not fit it any more,
`python -m commands.export_archive` refuses and says what to do.

Exit codes: 0 done, 1 nothing was restored, 2 the settings are wrong.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from commands.archive import ArchiveError, unpack
from data_directory import DirectoryInUse, Paths
from settings import SettingsError, load
from storage.drain_status import is_alive
from storage.segment_files import is_held

SET_ASIDE = "before-restore-"
STAGE = "restoring"


class NotEmpty(Exception):
    """The data directory holds something that a restore would replace."""


def restore(paths: Paths, archive: Path, now: datetime, *, force: bool, say: Callable[[str], object]) -> None:
    """Raises NotEmpty, DirectoryInUse, ArchiveError or OSError, and then nothing was replaced."""
    paths.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with paths.alone():
        _refuse_while_in_use(paths)
        present = list(_content(paths))
        if present and not force:
            raise NotEmpty(f"{paths.data} holds {present[0].name} already; --force moves what is there aside")
        stage = paths.data / STAGE
        shutil.rmtree(stage, ignore_errors=True)
        try:
            files = unpack(archive, stage)
            _replace(present, stage, paths.data, paths.data / f"{SET_ASIDE}{now:%Y%m%dT%H%M%SZ}", say)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    say(f"{len(files)} files restored into {paths.data}")
    if paths.database.name not in files:
        say("the backup holds no store: it was made with storage.backend = cassandra")


def _refuse_while_in_use(paths: Paths) -> None:
    """Workers under another WSGI server, and seeding jobs, do not hold the lock of the service."""
    if is_alive(paths.journal):
        raise DirectoryInUse(f"a drain works on {paths.journal}; stop it first")
    if any(map(is_held, paths.journal.glob("*.seg"))):
        raise DirectoryInUse(f"a web worker writes to {paths.journal}; stop its server first")
    if any(map(is_held, paths.jobs.glob("*/alive"))):
        raise DirectoryInUse(f"a seeding job runs in {paths.jobs}; wait until it has ended")


def _content(paths: Paths) -> Iterator[Path]:
    """What belongs to the installation that is there and may be in a backup."""
    stays = (paths.running.name, paths.archive.name, STAGE)
    for path in sorted(paths.data.iterdir()):
        is_empty = path.is_dir() and not any(path.iterdir())
        if path.name not in stays and not path.name.startswith(SET_ASIDE) and not is_empty:
            yield path


def _replace(present: Sequence[Path], stage: Path, data: Path, aside: Path, say: Callable[[str], object]) -> None:
    if present:
        aside.mkdir(mode=0o700)
        for path in present:
            path.rename(aside / path.name)
        say(f"what was there is in {aside}")
    for path in sorted(stage.iterdir()):
        path.rename(data / path.name)


def main(arguments: Sequence[str]) -> int:
    """The exit code; see above."""
    parser = argparse.ArgumentParser(prog="python -m commands.restore", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, help="what `python -m commands.backup` wrote")
    parser.add_argument("--force", action="store_true", help="move what is there aside")
    given = parser.parse_args(arguments)
    try:
        restore(load(os.environ).paths, given.file, datetime.now(UTC), force=given.force, say=print)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (NotEmpty, DirectoryInUse, ArchiveError, OSError) as error:
        print(f"nothing was restored: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

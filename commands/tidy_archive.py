"""Keep the archive small: merge many small files into one, and let old days go.

    python -m commands.tidy_archive

Merges the files of each tenant, day and city; days older than archive.retention_days lose the customers, or go
altogether, as archive.expire says. Runs beside the service and the streaming job; not beside a job that reads what is
being merged.

Exit codes: 0 done, 1 not done, 2 wrong arguments or settings, or no archive.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from settings import SettingsError, load
from storage.archive import ArchiveDirectory, ArchiveError
from storage.archive_export import is_begun
from storage.archive_tidying import Say, alone, expire, merge_small_files
from storage.base import MissingPackage
from storage.stream_checkpoint import is_complete


def tidy(archive: ArchiveDirectory, first_kept: date, what: str, say: Say) -> tuple[int, int]:
    """(files merged, files that lost something). Raises ArchiveError, MissingPackage, OSError."""
    archive.manifest()
    with alone(archive):
        manifest = archive.manifest()

        def is_whole(path: Path) -> bool:
            return is_complete(archive.checkpoint, path) and not is_begun(manifest, path)

        merged = merge_small_files(archive, is_whole, say)
        return merged, expire(archive, first_kept, what)


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code; see above."""
    parser = argparse.ArgumentParser(prog="python -m commands.tidy_archive", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    try:
        settings = load(environ)
        first_kept = (datetime.now(UTC) - timedelta(days=settings.archive.retention_days)).date()
        archive = ArchiveDirectory(Path(settings.archive_directory))
        merged, expired = tidy(archive, first_kept, settings.archive.expire, print)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except MissingPackage as error:
        print(error, file=sys.stderr)
        return 1
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"not tidied: {error}", file=sys.stderr)
        return 1
    lost = "removed" if settings.archive.expire == "day" else "without customers now"
    print(f"{merged:,} files were merged; {expired:,} files of days before {first_kept} are {lost}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The archive: every event once, in Parquet files below tenant=.../day=.../city=..., with its shard and log offset.

Any tool can read it; names that begin with an underscore are ours. Whoever adds events names their files after the
piece of the log they hold, so a piece that is written again replaces itself. Whoever rewrites or removes files holds
the lock.
"""

import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from bandit.event import BannerEvent
from bandit.zone import day_to_date
from storage.base import MissingPackage

if TYPE_CHECKING:
    import pyarrow

FORMAT = 1
MANIFEST, LOCK, STAGING, UNDECODABLE = "_archive.json", "_lock", "_staging", "_undecodable"
PARTITION_COLUMNS = ("tenant", "day", "city")
INSTALL = "pyarrow is missing; run: .venv/bin/python -m pip install -r requirements.txt"


class ArchiveError(Exception):
    """The archive is not there, is not ours to read, or is in use; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive is made of."""

    format: int = FORMAT
    topic: str = ""
    """Empty: it comes from the embedded store."""
    topic_id: str = ""
    begins: Mapping[str, int] = field(default_factory=dict)
    """Shard -> the first offset that was there to be archived."""
    complete_since_us: int = 0
    """Events received before it may be missing; 0: none is."""
    next_offset: int = 1
    """Of the embedded store: the event to go on from."""
    last_event: Sequence[int] = ()
    """Of the embedded store: number, journal and sequence of the last event that was archived; empty: not known."""
    pending_offset: int | None = None
    """Of the embedded store: the last event of a piece that may be written in part."""
    pending_event: Sequence[int] = ()
    """The same as last_event is written."""
    removed_before: str = ""
    """Days before this one were removed; empty: none."""


class Stored(NamedTuple):
    """An event, and where it stands in its log."""

    log_offset: int
    event: BannerEvent


def check_pyarrow() -> None:
    """Before anything is made or read. Raises MissingPackage."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackage(INSTALL) from error


@cache
def file_schema() -> "pyarrow.Schema":
    """The columns of each file; those of the directories are not repeated in it. Times are UTC."""
    import pyarrow as pa

    text, time, long = pa.string(), pa.timestamp("us", "UTC"), pa.int64()
    columns = {
        **{"kind": text, "impression_id": pa.binary(), "slot": text, "banner": text, "policy": text},
        **{"served_at": time, "received_at": time, "propensity": pa.float64(), "reason": text, "verdict": text},
        **{"customer": pa.binary(), "referrer": text, "platform": text, "would_be_banner": text},
        "eligible": text,
        **{"unrecognised_city": text, "shard": pa.int32(), "journal": long, "sequence": long, "log_offset": long},
    }
    return pa.schema(list(columns.items()))


class ArchiveDirectory:
    """One archive."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def undecodable(self) -> Path:
        """Messages nobody can read, with the reason."""
        return self.path / UNDECODABLE

    @property
    def checkpoint(self) -> Path:
        """Of the streaming job."""
        return self.path / "_checkpoint"

    def manifest(self) -> Manifest:
        """Raises ArchiveError where there is none, or one of a newer release."""
        try:
            found = json.loads((self.path / MANIFEST).read_text("utf-8"))
            if int(found["format"]) <= FORMAT:
                return Manifest(**found)
        except FileNotFoundError:
            raise ArchiveError(
                f"there is no archive at {self.path}; `python -m commands.export_archive` (embedded) or "
                "`python -m spark_jobs.archive` (from Kafka) makes it, and archive.directory names another place"
            ) from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ArchiveError(f"{self.path / MANIFEST} cannot be read: {error}") from error
        raise ArchiveError(
            f"the archive at {self.path} has format {found['format']}, and this release reads up to {FORMAT}: "
            "use the release that wrote it"
        )

    def create(self, manifest: Manifest) -> Manifest:
        """The manifest that is there, or else this one, written down. Raises ArchiveError, MissingPackage."""
        check_pyarrow()
        if (self.path / MANIFEST).exists():
            return self.manifest()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.files():
            raise ArchiveError(f"{self.path} holds Parquet files, and no {MANIFEST} that says where they are from")
        return self.write_manifest(manifest)

    def write_manifest(self, manifest: Manifest) -> Manifest:
        """Replace it, whole or not at all."""
        partial = self.path / f"{MANIFEST}.partial"
        with partial.open("w") as file:
            json.dump(asdict(manifest), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / MANIFEST)
        return manifest

    def change(self, **changes: Any) -> Manifest:
        """The manifest with these changes, written down."""
        return self.write_manifest(replace(self.manifest(), **changes))

    @contextmanager
    def alone(self, name: str = LOCK) -> Iterator[None]:
        """Nobody else exports, rewrites or removes meanwhile; waits for whoever does. See archive_tidying.alone. Raises
        MissingPackage."""
        check_pyarrow()
        with (self.path / name).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def files(self, tenant: str = "*") -> list[Path]:
        """All data files, or those of one tenant."""
        name = tenant if tenant == "*" else quote(tenant, safe="")
        return sorted(self.path.glob(f"tenant={name}/day=*/city=*/[!._]*.parquet"))

    def directory(self, tenant: str, day: int, city: str) -> Path:
        """Where events of this day (since 1970) are."""
        parts = (f"tenant={quote(tenant, safe='')}", f"day={day_to_date(day)}", f"city={quote(city, safe='')}")
        return self.path.joinpath(*parts)

    def city_directories(
        self,
        tenant: str | None = None,
        cities: Collection[str] = (),
        first: date | None = None,
        last: date | None = None,
    ) -> list[Path]:
        """Where the events of this tenant, these cities and these days are; None and empty stand for all."""
        names = [f"city={quote(city, safe='')}" for city in cities] or ["city=*"]
        below = f"tenant={quote(tenant, safe='')}" if tenant else "tenant=*"
        days = [
            directory
            for day, directory in self.day_directories(below)
            if (first is None or first <= day) and (last is None or day <= last)
        ]
        return [path for directory in days for name in names for path in sorted(directory.glob(name))]

    def day_directories(self, tenant: str = "tenant=*") -> list[tuple[date, Path]]:
        """Every day of every tenant, or of the one whose directory is named."""
        return [(_day(path), path) for path in sorted(self.path.glob(f"{tenant}/day=*"))]

    def tenants(self) -> list[str]:
        """Those who have events."""
        return [unquote(path.name.partition("=")[2]) for path in sorted(self.path.glob("tenant=*"))]

    def write(self, name: str, events: Iterable[Stored]) -> None:
        """Write one file of this name (without suffix) for each tenant, day and city; those of the same name are
        replaced, each whole or not at all."""
        ordered = sorted(events, key=lambda one: (*_place(one), one.log_offset))
        for place, group in groupby(ordered, key=_place):
            directory = self.directory(*place)
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(directory / f"{name}.parquet", _table(list(group)))


def write_file(path: Path, table: "pyarrow.Table") -> None:
    """Whole and on disk, or not at all."""
    import pyarrow.parquet as pq

    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        pq.write_table(table, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _day(directory: Path) -> date:
    try:
        return date.fromisoformat(directory.name.partition("=")[2])
    except ValueError:
        raise ArchiveError(f"{directory} is no day of an archive, such as day=2026-06-13; move it away") from None


def _place(stored: Stored) -> tuple[str, int, str]:
    return stored.event.tenant, stored.event.day, stored.event.city


def _table(stored: list[Stored]) -> "pyarrow.Table":
    import pyarrow as pa

    rows = [{**one.event._asdict(), "log_offset": one.log_offset} for one in stored]
    schema = file_schema()
    # Times come as microseconds, which a timestamp is made from.
    columns = [pa.array([row[name] for row in rows], type=_plain(kind)).cast(kind) for name, kind in _fields(schema)]
    return pa.Table.from_arrays(columns, schema=schema)


def _fields(schema: "pyarrow.Schema") -> list[tuple[str, Any]]:
    return list(zip(schema.names, schema.types, strict=True))


def _plain(kind: Any) -> Any:
    import pyarrow as pa

    return pa.int64() if pa.types.is_timestamp(kind) else kind

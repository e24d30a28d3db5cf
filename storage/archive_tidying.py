"""Rewriting what is archived: many small files into one, a customer out of all, old days out of the archive.

A file is replaced at once. Where several become one there is a note of it first, and whoever holds the lock next
finishes what a killed one began; between the two a reader may miss what is being merged, and no event is lost or
doubled.
"""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from storage.archive import STAGING, ArchiveDirectory, ArchiveError, file_schema, write_file

if TYPE_CHECKING:
    import pyarrow

NOTE = "_merging.json"
ROWS_AT_ONCE = 1 << 18

Say = Callable[[str], object]


@contextmanager
def alone(archive: ArchiveDirectory) -> Iterator[None]:
    """Nobody else exports, rewrites or removes meanwhile; what a killed one left half done is finished first."""
    with archive.alone():
        _finish_merge(archive)
        _remove_leftovers(archive)
        yield


def merge_small_files(archive: ArchiveDirectory, may_merge: Callable[[Path], bool], say: Say) -> int:
    """One file for each tenant, day and city of those that may be merged; how many there were. Hold the lock."""
    merged = 0
    for day, directory in archive.day_directories():
        for city in sorted(directory.glob("city=*")):
            files = [path for path in sorted(city.glob("[!._]*.parquet")) if may_merge(path)]
            if len(files) > 1:
                _merge(archive, city, files)
                merged += len(files)
        say(f"{directory.parent.name} {day}: merged")
    return merged


def forget_customer(archive: ArchiveDirectory, tenant: str, customer: bytes) -> int:
    """Erase this hash from all events of the tenant; from how many. Hold the lock."""
    import pyarrow.compute as pc

    erased = 0
    for path in archive.files(tenant):
        column = _read(path, ["customer"]).column("customer")
        found = int(pc.sum(pc.equal(column, customer)).as_py() or 0)
        if found:
            _erase(path, customer)
            erased += found
    return erased


def expire(archive: ArchiveDirectory, first_kept: date, what: str) -> int:
    """Take the customers out of all days before this one, or (what = "day") the days out of the archive; from how many
    files. Hold the lock."""
    old = [path for day, path in archive.day_directories() if day < first_kept]
    files = [path for directory in old for path in directory.glob("city=*/[!._]*.parquet")]
    if what == "day":
        # Written first: a recount must not take a day that is partly gone for whole.
        archive.change(removed_before=max(first_kept.isoformat(), archive.manifest().removed_before))
        for directory in old:
            shutil.rmtree(directory)
        return len(files)
    named = [path for path in files if _has_customers(path)]
    for path in named:
        _erase(path, None)
    return len(named)


def _has_customers(path: Path) -> bool:
    column = _read(path, ["customer"]).column("customer")
    return bool(column.null_count < len(column))


def find_damaged(archive: ArchiveDirectory) -> None:
    """Raise ArchiveError for the first file that cannot be read; the ends of all, quickly read, come first."""
    import pyarrow.parquet as pq

    for path in archive.files():
        with _naming(path):
            pq.read_metadata(path)
    for path in archive.files():
        _read(path)


def _erase(path: Path, customer: bytes | None) -> None:
    """Without this customer, or without any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _read(path)
    number, column = table.schema.get_field_index("customer"), table.column("customer")
    nobody = pa.scalar(None, pa.binary())
    kept = pa.nulls(len(column), pa.binary()) if customer is None else pc.if_else(
        pc.fill_null(pc.equal(column, customer), False), nobody, column
    )  # fmt: skip
    write_file(path, table.set_column(number, table.schema.field(number), kept))


def _read(path: Path, columns: Sequence[str] | None = None) -> "pyarrow.Table":
    import pyarrow.parquet as pq

    with _naming(path):
        # Not read_table, which takes the names of the directories for columns.
        return pq.ParquetFile(path).read(columns)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A damaged file as an ArchiveError that names it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ArchiveError(f"{path} cannot be read: {reason}; restore it, or move it away") from error


def _merge(archive: ArchiveDirectory, directory: Path, files: Sequence[Path]) -> None:
    output = directory / f"merged-{uuid.uuid4().hex}.parquet"
    staged = archive.path / STAGING / output.name
    staged.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        _concatenate(files, staged)
    except ArchiveError:
        staged.unlink()
        raise
    note = {
        "staged": staged.name,
        "output": str(output.relative_to(archive.path)),
        "inputs": [str(path.relative_to(archive.path)) for path in files],
    }
    partial = archive.path / f"{NOTE}.partial"
    with partial.open("w") as file:
        json.dump(note, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(archive.path / NOTE)
    _finish_merge(archive)


def _concatenate(files: Sequence[Path], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = file_schema()
    with target.open("wb") as file:
        with pq.ParquetWriter(file, schema) as writer:
            for batch in _batches(files):
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        file.flush()
        os.fsync(file.fileno())


def _batches(files: Sequence[Path]) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow.parquet as pq

    for path in files:
        with _naming(path):
            yield from pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE)


def _finish_merge(archive: ArchiveDirectory) -> None:
    """Put the merged file in the place of its inputs; may be done again."""
    path = archive.path / NOTE
    if not path.exists():
        return
    note = json.loads(path.read_text("utf-8"))
    for one in note["inputs"]:
        (archive.path / one).unlink(missing_ok=True)
    staged = archive.path / STAGING / note["staged"]
    if staged.exists():
        staged.replace(archive.path / note["output"])
    path.unlink()


def _remove_leftovers(archive: ArchiveDirectory) -> None:
    """What a killed one wrote and did not put in its place. Nobody reads it, and it may name customers."""
    merged, partial = f"{STAGING}/merged-*", "tenant=*/day=*/city=*/.*.partial"
    for path in (*archive.path.glob(merged), *archive.path.glob(partial)):
        path.unlink()

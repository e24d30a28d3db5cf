"""Events as a DataFrame: one schema, whatever they are read from.

`day` is a date, times are timestamps (UTC), `log_offset` is where the event stands in the log of its shard.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

from spark_jobs.job import BadInput
from storage.archive import ArchiveDirectory, ArchiveError

FILE_COLUMNS = {
    **{"kind": "string", "impression_id": "binary", "slot": "string", "banner": "string", "policy": "string"},
    **{"served_at": "timestamp", "received_at": "timestamp", "propensity": "double", "reason": "string"},
    **{"verdict": "string", "customer": "binary", "referrer": "string", "platform": "string"},
    **{
        "would_be_banner": "string",
        "eligible": "string",
        "unrecognised_city": "string",
        "shard": "int",
        "journal": "bigint",
    },
    **{"sequence": "bigint", "log_offset": "bigint"},
}
"""Name -> type, as Spark calls it."""
COLUMNS = FILE_COLUMNS | {"tenant": "string", "day": "date", "city": "string"}
DDL = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
PARTITIONING = ("tenant", "day", "city")


class Wanted(NamedTuple):
    """Which events; empty or None: all."""

    tenant: str | None = None
    cities: Sequence[str] = ()
    slot: str | None = None
    first: date | None = None
    last: date | None = None
    """Days of the impression in the tenant's zone, both included."""


EVERYTHING = Wanted()


def check(archive: ArchiveDirectory, wanted: Wanted = EVERYTHING) -> list[Path]:
    """The directories with the events wanted. Raises ArchiveError where there is none, or no archive of ours."""
    archive.manifest()
    directories = archive.city_directories(wanted.tenant, wanted.cities, wanted.first, wanted.last)
    if not directories:
        raise ArchiveError(f"the archive at {archive.path} has no events yet, or none of what is asked for")
    return directories


def read_archive(spark: SparkSession, archive: ArchiveDirectory, wanted: Wanted = EVERYTHING) -> DataFrame:
    """The events wanted, read only as far as they are asked for. Raises ArchiveError."""
    directories = check(archive, wanted)
    _check_sizes(directories)
    paths = [str(archive.path)] if wanted == EVERYTHING else [str(path) for path in directories]
    # With a given schema Spark takes the values of directories as they are: city 007 stays a text.
    reader = spark.read.schema(DDL).option("basePath", str(archive.path))
    return select(reader.parquet(*paths), wanted)


def _check_sizes(directories: Iterable[Path]) -> None:
    """Spark passes over an empty file, and counts as if nothing had been in it."""
    for directory in directories:
        for path in directory.glob("[!._]*.parquet"):
            if not path.stat().st_size:
                raise ArchiveError(f"{path} cannot be read: it is empty; restore it, or move it away")


def select(events: DataFrame, wanted: Wanted) -> DataFrame:
    """The events wanted: conditions on columns alone, so that files and rows can be left out before they are read."""
    conditions: list[Column | None] = [
        f.col("tenant") == wanted.tenant if wanted.tenant else None,
        f.col("city").isin(list(wanted.cities)) if wanted.cities else None,
        f.col("slot") == wanted.slot if wanted.slot else None,
        f.col("day") >= f.lit(wanted.first) if wanted.first else None,
        f.col("day") <= f.lit(wanted.last) if wanted.last else None,
    ]
    for condition in conditions:
        if condition is not None:
            events = events.where(condition)
    return events


def day_range(first: date | None, last: date | None) -> None:
    """Raise BadInput where it is empty."""
    if first and last and first > last:
        raise BadInput(f"--from {first} is after --to {last}; no day lies between")

"""The recount of the embedded store: what the archive says against SQLite's rows, both as of the same event."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from bandit.zone import day_to_date
from settings import Settings
from spark_jobs import job
from spark_jobs.whole_days import WholeDays, of_archive
from storage.archive import ArchiveDirectory
from storage.archive_export import export
from storage.sqlite import SqliteStore
from storage.sqlite_recount import CellKey, Counted, Counts, ReferrerKey

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_jobs.folding import Exclusions

Key = TypeVar("Key", CellKey, ReferrerKey)
NOTHING: Counted = (0, 0, 0)
ONE_AT_A_TIME = "_recount"


def recount(
    settings: Settings, exclusions: "Exclusions", open_session: "Callable[..., SparkSession]", *, publish: bool
) -> int:
    """The exit code. Raises ArchiveError, StoreUnavailable."""
    clock = job.Clock()
    archive = ArchiveDirectory(settings.archive_directory)
    store = SqliteStore.open(settings.paths.database)
    try:
        # First of all, so that the export has everything these were counted from.
        export(store, archive, time.time_ns() // 1000, lambda line: print(line, file=sys.stderr))
        with archive.alone(ONE_AT_A_TIME):
            counted = store.everything_counted()
            export(store, archive, time.time_ns() // 1000, lambda _: None)
            days = _whole_days(store, archive)
            cells, referrers = fold(open_session(connectors=False), archive, counted, exclusions)
            cell_differences = differences(cells, counted.cells, days)
            referrer_differences = differences(referrers, counted.referrers, days)
            _report(cell_differences, counted.cells)
            _report(referrer_differences, counted.referrers)
            if publish:
                store.correct(cell_differences, referrer_differences)
    finally:
        store.close()
    kept = sorted({key.day for key in counted.cells if key.day < days.first(key.tenant)})
    print(f"days kept as counted: {', '.join(str(day_to_date(day)) for day in kept) or 'none'}")
    found = len(cell_differences) + len(referrer_differences)
    verb = "corrected" if publish else "found"
    rows = f"{len(cells):,} rows by city and {len(referrers):,} by referrer"
    print(f"{rows} recounted; {found:,} differences {verb}, {clock}")
    return job.DONE if publish or not found else job.NOT_DONE


def fold(
    spark: "SparkSession", archive: ArchiveDirectory, counted: Counts, exclusions: "Exclusions"
) -> tuple[Mapping[CellKey, Counted], Mapping[ReferrerKey, Counted]]:
    """What the archived events up to the last one counted add up to."""
    from pyspark.sql import functions as f

    from spark_jobs.events import read_archive
    from spark_jobs.folding import (
        CELL,
        REFERRER_CELL,
        accepted_once,
        by_cell,
        by_referrer,
        count,
        exclude,
    )

    if not archive.files():
        return {}, {}
    events = read_archive(spark, archive).where(f.col("log_offset") <= counted.last_event)
    counts = count(exclude(accepted_once(events), exclusions)).persist()
    names = spark.createDataFrame(list(counted.names), "tenant string, referrer string")
    named = names.crossJoin(counts.select("shard").distinct())
    cells = {CellKey(*key): numbers for key, numbers in _rows(by_cell(counts), CELL)}
    referrers = {ReferrerKey(*key): numbers for key, numbers in _rows(by_referrer(counts, named), REFERRER_CELL)}
    counts.unpersist()
    return cells, referrers


def differences(
    events_say: Mapping[Key, Counted], counted: Mapping[Key, Counted], days: WholeDays
) -> dict[Key, Counted]:
    """What has to be added to what is counted, of whole days."""
    keys: set[Key] = {key for one in (events_say, counted) for key in one if key.day >= days.first(key.tenant)}
    added = {key: _minus(events_say.get(key, NOTHING), counted.get(key, NOTHING)) for key in sorted(keys)}
    return {key: numbers for key, numbers in added.items() if any(numbers)}


def _minus(one: Counted, other: Counted) -> Counted:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


def _rows(frame: "DataFrame", key: tuple[str, ...]) -> "list[tuple[tuple[Any, ...], Counted]]":
    """As many as the store has rows."""
    from pyspark.sql import functions as f

    rows = frame.withColumn("day", f.unix_date("day")).select(*key, "served", "viewed", "clicks").toLocalIterator()
    return [(tuple(row)[:-3], tuple(row)[-3:]) for row in rows]


def _report(found: Mapping[Key, Counted], counted: Mapping[Key, Counted]) -> None:
    for key, added in found.items():
        was = counted.get(key, NOTHING)
        events_say = tuple(one + other for one, other in zip(was, added, strict=True))
        print(f"{_name(key)}: counted {_numbers(was)}; the events say {_numbers(events_say)}")


def _name(key: CellKey | ReferrerKey) -> str:
    return " ".join(str(day_to_date(value)) if name == "day" else str(value) for name, value in key._asdict().items())


def _numbers(numbers: tuple[int, ...]) -> str:
    return "{} served, {} viewed, {} clicks".format(*numbers)


def _whole_days(store: SqliteStore, archive: ArchiveDirectory) -> WholeDays:
    zones = {tenant.id: tenant.time_zone for tenant in store.configuration().tenants.values()}
    manifest = archive.manifest()
    return of_archive(manifest, zones, manifest.complete_since_us)

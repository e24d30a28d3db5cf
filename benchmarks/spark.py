"""Measure the Spark jobs over an archive of many events against plain Spark over the same files.

    python -m benchmarks.spark [--events 5000000] [--keep DIRECTORY]

  files, bytes  what a filter by one of 50 cities reads, of all there is
  filter        its time against a hand-written read of that city's directories alone
  recount       its time against a plain groupBy().count() over the same files, by the same columns and the kind
  memory        the largest the driver's Java process ever was

Each time is the median of rounds by turns, in one session. Of 100 events 80 are impressions, 15 views and 5 clicks,
in 4 days and 50 cities.

Exit codes: 0 every target is met, 1 one is missed, 2 it could not be measured.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.results import Result
from spark_jobs.session import SparkOptions, open_session
from storage.archive import ArchiveDirectory, Manifest
from storage.base import MissingPackage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CITIES, DAYS, BANNERS, FIRST_DAY = 50, 4, 10, 20_600
ROUNDS = 3
GIB = 1 << 30


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--keep", type=Path, help="make the archive here, or use the one that is there")
    given = parser.parse_args(arguments)
    try:
        spark = open_session("benchmark", SparkOptions(), connectors=False)
    except MissingPackage as error:
        print(error, file=sys.stderr)
        return 2
    with TemporaryDirectory() as directory:
        results = measure(spark, ArchiveDirectory(given.keep or Path(directory)), given.events)
        spark.stop()
    print("\n".join(result.line() for result in results))
    return 0 if all(result.met for result in results) else 1


def measure(spark: "SparkSession", archive: ArchiveDirectory, events: int) -> list[Result]:
    """All figures."""
    if not archive.path.exists() or not archive.files():
        print(f"making an archive of {events:,} events ...", flush=True)
        make(spark, archive, events)
    return [*measure_filter(spark, archive), measure_recount(spark, archive), measure_memory(spark)]


def make(spark: "SparkSession", archive: ArchiveDirectory, events: int) -> None:
    """Events by arithmetic on their number: 50 in a row belong to 45 impressions."""
    from pyspark.sql import functions as f

    from spark_jobs.events import COLUMNS, PARTITIONING

    n, step = f.col("id"), f.col("id") % 50
    impression = (n - step) + f.when(step < 45, step).otherwise(f.pmod(step * 7, f.lit(45)))
    kind = f.when(step < 45, "served").when(step < 49, "viewed").otherwise("clicked")
    mixed = f.pmod(f.xxhash64(impression), f.lit(1 << 30))
    micros = f.lit(FIRST_DAY * 86_400_000_000) + impression * 1000
    values = {
        "kind": kind,
        "impression_id": f.unhex(f.lpad(f.hex(impression), 32, "0")),
        "slot": f.lit("home"),
        "banner": f.concat(f.lit("b"), (mixed % BANNERS).cast("string")),
        "policy": f.when(mixed % 10 == 0, "holdout").otherwise("learned"),
        "served_at": f.timestamp_micros(micros),
        "received_at": f.timestamp_micros(micros + 1000),
        "propensity": f.lit(0.1),
        "reason": f.lit("learned"),
        "verdict": f.lit("accepted"),
        "customer": f.unhex(f.lpad(f.hex(mixed % 100_000), 16, "0")),
        "referrer": f.concat(f.lit("r"), (mixed % 7).cast("string")),
        "platform": f.lit("web"),
        "shard": f.lit(0),
        "journal": f.lit(7),
        "sequence": n + 1,
        "log_offset": n + 1,
        "tenant": f.lit("shop"),
        "day": f.date_from_unix_date((FIRST_DAY + (mixed / 64).cast("bigint") % DAYS).cast("int")),
        "city": f.concat(f.lit("city"), ((mixed / 512).cast("bigint") % CITIES).cast("string")),
    }
    columns = [values.get(name, f.lit(None)).cast(kind).alias(name) for name, kind in COLUMNS.items()]
    archive.create(Manifest(next_offset=events + 1))
    rows = spark.range(events).select(*columns)
    rows.repartition(8, *PARTITIONING).write.mode("append").partitionBy(*PARTITIONING).parquet(str(archive.path))


def measure_filter(spark: "SparkSession", archive: ArchiveDirectory) -> list[Result]:
    """One city of all days."""
    from spark_jobs.events import DDL, Wanted, read_archive

    wanted = Wanted("shop", ["city7"])

    def ours() -> "DataFrame":
        return read_archive(spark, archive, wanted)

    def by_hand() -> "DataFrame":
        paths = [str(path) for path in archive.path.glob("tenant=shop/day=*/city=city7")]
        return spark.read.schema(DDL).option("basePath", str(archive.path)).parquet(*paths)

    files, read = _files_read(ours())
    everything = archive.files()
    size = sum(path.stat().st_size for path in everything)
    shares = [
        Result("files a city's filter reads", files / len(everything), 1 / 40, at_least=False, detail=f"{files} files"),
        Result("bytes it reads", read / size, 1 / 40, at_least=False, detail=f"{read:,} of {size:,} bytes"),
    ]
    times = by_turns([lambda: _use(ours()), lambda: _use(by_hand())])
    detail = f"{times[0]:.2f} against {times[1]:.2f} s"
    return [*shares, Result("filter against reading by hand", times[0] / times[1], 1.3, at_least=False, detail=detail)]


def measure_recount(spark: "SparkSession", archive: ArchiveDirectory) -> Result:
    """Counting by the rules against counting rows by the columns that the recount groups by."""
    from spark_jobs.events import read_archive
    from spark_jobs.folding import FINE, accepted_once, by_cell, count

    def ours() -> None:
        by_cell(count(accepted_once(read_archive(spark, archive)))).collect()

    def plain() -> None:
        read_archive(spark, archive).groupBy(*FINE, "kind").count().collect()

    times = by_turns([ours, plain])
    detail = f"{times[0]:.2f} against {times[1]:.2f} s"
    return Result("recount, speed of a plain count", times[1] / times[0], 0.5, at_least=True, detail=detail)


def measure_memory(spark: "SparkSession") -> Result:
    """VmHWM of the driver's Java process; it is the executor too, with a local master."""
    pid = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()  # type: ignore[union-attr]
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    heap = spark.sparkContext._jvm.java.lang.Runtime.getRuntime()  # type: ignore[union-attr]
    detail = f"heap {(heap.totalMemory() - heap.freeMemory()) / GIB:.2f} GiB at the end"
    return Result(
        "peak memory of the driver, GiB", int(found[1]) * 1024 / GIB, 1.0, at_least=False, unit="", detail=detail
    )


def by_turns(acts: Sequence[Callable[[], Any]]) -> list[float]:
    """Median seconds of each, after one round that warms up."""
    times: list[list[float]] = [[] for _ in acts]
    for number in range(ROUNDS + 1):
        for act, taken in zip(acts, times, strict=True):
            started = time.perf_counter()
            act()
            if number:
                taken.append(time.perf_counter() - started)
    return [median(each) for each in times]


def _use(rows: "DataFrame") -> None:
    """Every column of every row is read, and nothing kept."""
    rows.write.format("noop").mode("overwrite").save()


def _files_read(rows: "DataFrame") -> tuple[int, int]:
    """(files, bytes) that the scan really read, as its own metrics say."""
    plan = rows._jdf.queryExecution().executedPlan()
    rows._jdf.queryExecution().toRdd().count()
    scan = plan.collectLeaves().apply(0)
    metrics = scan.metrics()
    return metrics.apply("numFiles").value(), metrics.apply("filesSize").value()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

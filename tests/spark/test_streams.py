"""What every stream does, whichever job it belongs to."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from spark_jobs import job


def a_stream(spark: Any, directory: Path, **trigger: Any) -> Any:
    (directory / "lines.txt").write_text("a line")
    return spark.readStream.text(str(directory)).writeStream.format("noop").trigger(**trigger).start()


def test_the_last_batches_of_a_stream_are_looked_at_too(spark: Any, tmp_path: Path) -> None:
    query, batches = a_stream(spark, tmp_path, availableNow=True), list[int]()
    query.processAllAvailable()
    assert job.wait(query, lambda: batches.append(query.lastProgress["batchId"]))
    assert batches[-1:] == [0]


def test_so_are_those_of_a_stream_that_is_told_to_end(spark: Any, tmp_path: Path) -> None:
    query, looks = a_stream(spark, tmp_path, processingTime="1 second"), list[bool]()

    def look() -> None:
        looks.append(query.isActive)
        if len(looks) == 1:
            raise job.Stopped

    assert not job.wait(query, look)
    assert looks == [True, False]

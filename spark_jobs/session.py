"""The one place that makes a SparkSession."""

import logging
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.jars import kept
from storage.base import MissingPackage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

INSTALL = "pyspark is missing; run: .venv/bin/python -m pip install -r requirements.txt"
INSTALL_JAVA = (
    "Java 17 is needed for Spark: on Debian and Ubuntu `apt install openjdk-17-jre-headless`, or set JAVA_HOME"
)
INSTALL_JARS = "Spark's connectors are missing; run: make spark-jars (or python -m spark_jobs.jars)"
SUBMITTED = "PYSPARK_GATEWAY_PORT"
"""Set by spark-submit, which has started the driver already: master, memory and jars are as it was told."""

ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Else a frame that Arrow cannot carry arrives with None as the text 'NaN'.
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
    # INT96, the default, is deprecated and has no statistics.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "true",
}
LOCAL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # For the few cores of one machine; the default of 200 makes as many tiny tasks and files.
    "spark.sql.shuffle.partitions": "8",
    # Waiting for a place near the data has no end where nothing else runs: one machine is as near as it gets.
    "spark.locality.wait": "0s",
    # A job of as many tasks takes longer than looking into so many directories of a local disk.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
}


@dataclass(frozen=True, slots=True)
class SparkOptions:
    """How jobs run; as in the settings of the same names."""

    master: str = "local[2]"
    jars: str = ""
    driver_memory: str = "640m"
    options: Mapping[str, str] = field(default_factory=dict)
    """Given last, so they go before ours."""


def open_session(name: str, options: SparkOptions, *, connectors: bool) -> "SparkSession":
    """The session of this process. `connectors`: it will speak to Kafka or Cassandra. Raises MissingPackage."""
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise MissingPackage(INSTALL) from error
    submitted = SUBMITTED in os.environ
    given = ALWAYS | ({} if submitted else _driver(options, connectors)) | dict(options.options)
    builder = SparkSession.builder.appName(name)
    for key, value in given.items():
        builder = builder.config(key, value)
    _set_environment()
    session = builder.getOrCreate()
    # What goes wrong comes back as an exception, and is said in one line; Spark and py4j would say it in hundreds.
    session.sparkContext.setLogLevel("FATAL")
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    return session


def _driver(options: SparkOptions, connectors: bool) -> dict[str, str]:
    home = os.environ.get("JAVA_HOME")
    java = Path(home) / "bin" / "java" if home else "java"
    if shutil.which(java) is None:
        raise MissingPackage(INSTALL_JAVA)
    directory = Path(options.jars) if options.jars else kept()
    jars = sorted(directory.glob("*.jar"))
    if connectors and not jars:
        raise MissingPackage(INSTALL_JARS)
    where = LOCAL if options.master.startswith("local") else {}
    memory = {"spark.master": options.master, "spark.driver.memory": options.driver_memory}
    return where | memory | ({"spark.jars": ",".join(map(str, jars))} if jars else {})


def _set_environment() -> None:
    # Else workers use another python3, and what is collected follows the zone of this process.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["TZ"] = "UTC"
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")

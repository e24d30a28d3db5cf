"""The settings of the Spark jobs and of the archive they work on."""

import re
from dataclasses import dataclass

from settings_rows import choice, number, setting

_OPTION = r"spark\.[A-Za-z0-9._-]+=[^\s,]*"


@dataclass(frozen=True, slots=True)
class Spark:
    """Jobs over the clickstream: `python -m spark_jobs.recount --help` and others."""

    master: str = setting("local[2]", "Where jobs run; spark-submit --master goes before it.", "a Spark master", bool)
    jars: str = setting(
        "", "Directory of the connectors' jars; empty: where `make spark-jars` puts them.", "a path, or empty"
    )
    driver_memory: str = setting(
        "640m", "Heap of the driver.", "a size such as 1g", lambda value: re.fullmatch(r"\d+[mg]", value)
    )
    options: str = setting(
        "",
        "Further options of Spark, such as spark.sql.shuffle.partitions=8.",
        "spark.name=value, separated by commas, or empty",
        lambda value: not value or re.fullmatch(rf"{_OPTION}(\s*,\s*{_OPTION})*", value),
    )

    def option_pairs(self) -> dict[str, str]:
        """Of `options`: name -> value."""
        pairs = (one.strip().partition("=") for one in self.options.split(",") if one.strip())
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Archive:
    """Every event as Parquet files: by `python -m spark_jobs.archive` or `python -m commands.export_archive`."""

    directory: str = setting(
        "", "Where it is; a file system that all of Spark's machines see. Empty: in data.", "a path, or empty"
    )
    retention_days: int = number(400, "Days after which `expire` acts on a day of it.", 1, 36_500)
    expire: str = choice(
        "customer", "What old days lose: the customers, or everything (`python -m commands.tidy_archive`).",
        "customer", "day",
    )  # fmt: skip
    trigger_seconds: int = number(60, "How often the streaming job writes.", 1, 86_400)

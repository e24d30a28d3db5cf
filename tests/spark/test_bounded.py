"""What the jobs must not do whatever the data: bring unbounded rows into the driver, or run Python on rows."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

JOBS = Path(__file__).parents[2] / "spark_jobs"

COLLECTS = {
    "clickstream_by_city.py:_counted": "the banners of the slots that were asked for: as many as people configure",
    "clickstream_by_city.py:_from_topic": "reasons why messages are no event, at most MAX_REASONS",
    "distributed_recount.py:_compare": "days, of which a store has some thousand",
    "filling.py:_write_claims": "one row: a maximum",
    "segments.py:summary": "a row a segment, of which there are at most 20",
    "topic.py:_writers": "numbers of schemas, at most MAX_SCHEMAS",
}
"""Where rows are brought into the driver at once -> why they are few."""
LOCAL_ITERATIONS = {
    "distributed_recount.py:_report": "differences, printed one by one",
    "embedded_recount.py:_rows": "as many as SQLite, on the same machine, has rows",
    "live_ctr.py:write": "finished windows: banners in cities",
    "segments.py:_members": "customers, a partition at a time, handed on to the store as they come",
    "segments.py:_counts": "the same for counts by segment",
}
"""Where they come one partition after the other -> what they are."""
ALL_AT_ONCE = {"collect", "toPandas", "collectAsMap", "collect_list", "collect_set", "array_agg"}
PYTHON_ON_ROWS = {
    *("udf", "udtf", "pandas_udf", "arrow_udf", "mapInPandas", "mapInArrow", "applyInPandas", "applyInArrow"),
    *(
        "applyInPandasWithState",
        "cogroup",
        "registerJavaFunction",
        "rdd",
        "foreachPartition",
        "foreach",
        "mapPartitions",
    ),
    *("flatMap", "reduceByKey", "parallelize", "pandas_api"),
}


class Use:
    """A name that is called or read in a function."""

    def __init__(self, place: str, name: str) -> None:
        self.place = place
        self.name = name


def uses() -> Iterator[Use]:
    """Every attribute and every imported or called name of spark_jobs, with the function around it."""
    for path in sorted(JOBS.glob("*.py")):
        yield from _uses(path.name, ast.parse(path.read_text("utf-8")), "")


def _uses(file: str, node: ast.AST, function: str) -> Iterator[Use]:
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.FunctionDef) else function
        if isinstance(child, ast.Attribute):
            yield Use(f"{file}:{inside}", child.attr)
        elif isinstance(child, ast.Name):
            yield Use(f"{file}:{inside}", child.id)
        elif isinstance(child, ast.alias):
            yield Use(f"{file}:{inside}", child.name.rpartition(".")[2])
        yield from _uses(file, child, inside)


def found(names: set[str]) -> Counter[str]:
    return Counter(use.place for use in uses() if use.name in names)


def test_rows_come_into_the_driver_only_where_they_are_few() -> None:
    assert set(found(ALL_AT_ONCE)) == set(COLLECTS)


def test_rows_come_one_partition_at_a_time_only_where_somebody_wants_each() -> None:
    assert set(found({"toLocalIterator"})) == set(LOCAL_ITERATIONS)


def test_no_job_runs_python_on_rows() -> None:
    assert found(PYTHON_ON_ROWS) == Counter()


@pytest.mark.parametrize("text", ["@f.udf\ndef x(): ...", "from pyspark.sql.functions import pandas_udf", "a.rdd"])
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert PYTHON_ON_ROWS & {use.name for use in _uses("some.py", ast.parse(text), "")}

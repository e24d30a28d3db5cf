"""Every CQL string of the product, read from its source: nothing in it can count twice or bring counts down."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
PRODUCT = ("storage", "kafka_ingest", "spark_jobs", "commands", "processes", "app.py")
COUNT_TABLES = {"counts", "counts_by_referrer", "unrecognised_cities", "sampled", "would_be", "names", "progress"}
BEGINS = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE|BEGIN|TRUNCATE|CREATE|ALTER|DROP)\s")
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|TABLE(?: IF NOT EXISTS)?|TRUNCATE)\s+(\w+)")


class Statement(NamedTuple):
    """One CQL string and where it stands."""

    where: str
    text: str

    @property
    def table(self) -> str:
        found = TABLE.search(self.text)
        return found[1] if found else ""


def python_files() -> list[Path]:
    return [path for name in PRODUCT for path in [*(ROOT / name).rglob("*.py"), ROOT / name] if path.suffix == ".py"]


def statements() -> list[Statement]:
    """Of the files that speak CQL; SQLite's are left out."""
    found = []
    for path in python_files():
        if path.name.startswith("sqlite") or not path.exists():
            continue
        where = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else ""
            if isinstance(text, str) and BEGINS.match(text):
                found.append(Statement(f"{where}:{node.lineno}", text))  # type: ignore[attr-defined]
    schema = re.sub(r"--[^\n]*", "", (ROOT / "schema.cql").read_text("utf-8"))
    return found + [Statement("schema.cql", text) for text in schema.split(";") if text.strip()]


def columns_of(table: str) -> set[str]:
    (made,) = (one for one in statements() if one.where == "schema.cql" and one.table == table and "CREATE" in one.text)
    return set(re.findall(r"^    (\w+) (?:text|int|bigint|blob|double|uuid)", made.text, re.MULTILINE))


def test_there_are_statements_to_look_at() -> None:
    assert len(statements()) > 40
    assert {"counts", "clicks_by_city", "configuration", "banners"} <= {one.table for one in statements()}


def test_nothing_is_incremented() -> None:
    assert [one for one in statements() if re.search(r"\bcounter\b", one.text, re.IGNORECASE)] == []
    assert [one for one in statements() if re.search(r"\b(\w+)\s*=\s*\1\s*[+-]", one.text)] == []


def test_rows_of_counts_are_never_deleted_or_updated() -> None:
    changes = [one for one in statements() if re.match(r"\s*(DELETE|UPDATE|TRUNCATE|DROP)", one.text)]
    assert [one for one in changes if one.table in COUNT_TABLES] == []


def test_counts_are_written_with_all_columns_and_a_timestamp_all_of_them_bound() -> None:
    writes = [one for one in statements() if one.text.lstrip().startswith("INSERT") and one.table in COUNT_TABLES]
    assert {one.table for one in writes} >= {"counts", "counts_by_referrer", "sampled", "would_be"}
    for one in writes:
        columns, values = re.findall(r"\(([^)]*)\)", one.text)
        assert {name.strip() for name in columns.split(",")} == columns_of(one.table), one
        assert {value.strip() for value in values.split(",")} == {"?"}, one
        assert re.search(r"USING TIMESTAMP \?\s*$", one.text), one


def test_what_is_stamped_is_not_compacted_by_time() -> None:
    windowed = [one.table for one in statements() if "TimeWindowCompactionStrategy" in one.text]
    assert windowed == ["claims"]
    assert [one for one in statements() if one.table == "claims" and "TIMESTAMP" in one.text] == []


def test_configuration_is_written_by_changes_only() -> None:
    """All others would be outranked by the stamp of a change, or lose somebody's edit."""
    tables = {"configuration", "tenants", "api_keys", "slots", "banners", "seeds", "retired", "epochs"}
    writes = [one for one in statements() if re.match(r"\s*(INSERT|UPDATE|DELETE)", one.text) and one.table in tables]
    assert {one.where.partition(":")[0] for one in writes} == {"storage/cassandra_change.py", "schema.cql"}
    unstamped = [one.table for one in writes if "TIMESTAMP :stamp" not in one.text]
    assert set(unstamped) == {"configuration"}

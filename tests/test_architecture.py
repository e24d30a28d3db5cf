"""The arrows of docs/architecture.md, read from the imports of every file, and a few rules beside them."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
CORE = {"bandit", "storage", "serving"}
SETTINGS = {
    "settings",
    "settings_cassandra",
    "settings_kafka",
    "settings_rows",
    "settings_sources",
    "settings_spark",
    "data_directory",
}

MAY_IMPORT = {
    "bandit": {"bandit"},
    "storage": {"bandit", "storage"},
    "serving": {"bandit", "storage", "serving"},
    "kafka_ingest": {*CORE, "kafka_ingest"},
    "web": {*CORE, "web"},
    "processes": {*CORE, *SETTINGS, "kafka_ingest", "processes"},
    "commands": {*CORE, *SETTINGS, "kafka_ingest", "processes", "services", "commands"},
    "spark_jobs": {"bandit", "storage", "kafka_ingest", "services", *SETTINGS, "spark_jobs"},
    "services": {"services", "processes"},
    "benchmarks": {*CORE, *SETTINGS, "benchmarks", "commands", "kafka_ingest", "processes", "services", "spark_jobs"},
    "app": {*CORE, *SETTINGS, "kafka_ingest", "web", "processes"},
    "settings": SETTINGS,
    "settings_cassandra": {"settings_rows"},
    "settings_kafka": {"settings_rows"},
    "settings_rows": set[str](),
    "settings_sources": set[str](),
    "settings_spark": {"settings_rows"},
    "data_directory": set[str](),
}
ENTRY_POINTS = {
    *("storage/seed_cold_start.py", "storage/dead_letters.py", "storage/opening.py", "storage/cassandra_schema.py"),
    "storage/copy.py",
    *("kafka_ingest/opening.py", "kafka_ingest/topics.py", "kafka_ingest/dead_letters.py", "kafka_ingest/intake.py"),
    *("kafka_ingest/consumer.py", "kafka_ingest/consuming.py", "kafka_ingest/epochs.py"),
}
"""Commands that live beside what they work on, and what they share; they may read the settings."""

ONLY_IN = {
    "flask": ("web/", "app.py", "benchmarks/"),
    "flask_openapi3": ("web/",),
    "werkzeug": ("web/",),
    "pydantic": ("web/",),
    "prometheus_client": ("web/metrics.py", "kafka_ingest/consumer_metrics.py"),
    "sqlite3": ("storage/sqlite", "benchmarks/"),
    "kafka": ("kafka_ingest/", "benchmarks/"),
    "cassandra": ("storage/cassandra", "services/cassandra.py"),
    "pyspark": ("spark_jobs/", "benchmarks/"),
    "granian": ("processes/web_server.py", "benchmarks/"),
    "configparser": ("settings_sources.py",),
}
IMPURE = {"time", "random", "secrets", "os", "socket", "subprocess", "threading", "logging", "sqlite3"}
"""What the decision core must not know: it is given the time and the randomness, and it does no I/O."""

HEAVY = {"pandas", "sklearn", "scipy", "pyarrow"}
"""Imported inside functions, so that no web worker loads them."""

SIDE_EFFECTS = {
    *("open", "connect", "socket", "Thread", "Popen", "run", "start", "getenv", "basicConfig", "dictConfig"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "touch", "now", "today", "time_ns"),
}
MAX_LINES = 350
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


class Import(NamedTuple):
    """One import statement of one file."""

    file: str
    line: int
    module: str
    at_import: bool
    """Executed when the file is imported, not when a function is called."""

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def source_files() -> list[Path]:
    found = [path for name in MAY_IMPORT for path in [*(ROOT / name).rglob("*.py"), ROOT / f"{name}.py"]]
    return [path for path in found if path.exists()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def executed_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the file is imported: not those of functions, and not the guarded main."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("__name__ == '__main__'", "TYPE_CHECKING"):
            continue
        yield child
        yield from executed_at_import(child)


def imports() -> list[Import]:
    found = []
    for path in source_files():
        module = tree(path)
        early = {id(node) for node in executed_at_import(module)}
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{relative(path)}:{node.lineno}: imports are absolute"
                names = [node.module or ""]
            else:
                continue
            found += [Import(relative(path), node.lineno, name, id(node) in early) for name in names]
    return found


def part_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def test_the_arrows_between_the_parts_hold() -> None:
    wrong = [
        str(one)
        for one in imports()
        if one.top in MAY_IMPORT
        and one.top not in MAY_IMPORT[part_of(one.file)]
        and not (one.file in ENTRY_POINTS and one.module in {*SETTINGS, "processes", "processes.log"})
    ]
    assert wrong == []


def test_every_python_file_belongs_to_a_part_with_a_rule() -> None:
    tops = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py"}
    tops |= {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert tops - {"tests"} == set(MAY_IMPORT)


def test_types_are_checked_in_every_part() -> None:
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    assert {*mypy["packages"], *mypy["modules"]} == {*MAY_IMPORT, "tests"}


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_a_driver_or_framework_is_known_to_one_part_only(package: str) -> None:
    wrong = [str(one) for one in imports() if one.top == package and not one.file.startswith(ONLY_IN[package])]
    assert wrong == []


def test_the_decision_core_knows_no_clock_no_randomness_and_no_input() -> None:
    wrong = [str(one) for one in imports() if part_of(one.file) == "bandit" and one.top in IMPURE]
    assert wrong == []


def test_heavy_packages_are_imported_where_they_are_used() -> None:
    wrong = [str(one) for one in imports() if one.at_import and one.top in HEAVY and part_of(one.file) != "benchmarks"]
    assert wrong == []


def test_a_web_worker_loads_no_heavy_package() -> None:
    code = "import app, web.application, processes.web_server, sys; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(answer.stdout.split())


def test_importing_a_file_does_nothing_but_define() -> None:
    wrong = [
        f"{relative(path)}:{node.lineno} calls {name}"
        for path in source_files()
        for node in executed_at_import(tree(path))
        if isinstance(node, ast.Call)
        and (name := node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)) in SIDE_EFFECTS
    ]
    assert wrong == []


def test_no_file_is_longer_than_what_one_reads_in_one_go() -> None:
    lengths = {relative(path): len(path.read_text("utf-8").splitlines()) for path in source_files()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [relative(path) for path in source_files() if path.stem in VAGUE_NAMES] == []

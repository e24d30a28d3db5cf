"""Commands that need more than `make run` installs: they explain themselves, and say in one line what to install."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bandit.model import Tenant
from settings import ROOT
from storage.sqlite import SqliteStore

NOT_INSTALLED = ("cassandra", "kafka", "mabwiser", "matplotlib", "pyarrow", "pyspark", "scipy")
RUN_WITHOUT_THEM = f"""
import runpy, sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name in {NOT_INSTALLED} else find(name, *more)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
INSTALL_WHOLE = "is missing; run: .venv/bin/python -m pip install -r requirements.txt"
JOBS = {
    "recount": [],
    "archive": ["--available-now"],
    "live_ctr": [],
    "segments": ["--tenant", "shop"],
    "clickstream_by_city": ["--tenant", "shop", "--city", "Pune"],
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of an installation with a tenant and an empty archive."""
    (tmp_path / "config.ini").touch()
    with closing(SqliteStore.open(tmp_path / "banner.db")) as store:
        store.put_tenant("shop", Tenant("shop", cities={"Pune": ()}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")}
    return kept | {"BANNER_CONFIG": str(tmp_path / "config.ini"), "BANNER_DATA_DIRECTORY": str(tmp_path)}


def run(environment: dict[str, str], module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", RUN_WITHOUT_THEM, module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("module", ["commands.run_distributed", "benchmarks.regret", "benchmarks.learning"])
def test_help_needs_no_package(environment: dict[str, str], module: str) -> None:
    answer = run(environment, module, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"usage: python -m {module} ")


@pytest.mark.parametrize("job", JOBS)
def test_a_job_without_spark_says_what_to_run(environment: dict[str, str], job: str) -> None:
    answer = run(environment, f"spark_jobs.{job}", *JOBS[job])
    assert answer.returncode == 1
    assert answer.stderr == f"not done: pyspark {INSTALL_WHOLE}\n"


def test_the_distributed_mode_says_what_to_run_before_it_starts_anything(environment: dict[str, str]) -> None:
    answer = run(environment, "commands.run_distributed")
    assert answer.returncode == 1
    assert answer.stderr == f"cannot start: kafka-python {INSTALL_WHOLE}\n"
    assert answer.stdout == ""


def test_the_simulator_says_what_to_run_before_it_simulates(environment: dict[str, str]) -> None:
    answer = run(environment, "benchmarks.regret", "--quick")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "mabwiser is missing; run: make environment-dev\n"

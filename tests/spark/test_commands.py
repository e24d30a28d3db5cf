"""The jobs as people start them: processes with settings, exit codes and one clear line for what is wrong."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("pyspark")

from bandit.model import Tenant
from services.kafka import Kafka
from settings import ROOT
from spark_jobs import archive, clickstream_by_city, live_ctr, recount, segments
from storage.sqlite import SqliteStore
from tests.counting.traffic import EventWriter
from tests.kafka.topic import Topic
from tests.spark.quick import QUICK_JOB
from tests.storage.archived import archive_of, some_events
from tests.storage.events import served

EVENTS = some_events(60)
JOBS = (archive, clickstream_by_city, live_ctr, recount, segments)
SECONDS = 300


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of an installation with the tenant `shop` and an archive."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "config.ini").write_text("")
    store = SqliteStore.open(data / "banner.db")
    store.put_tenant("shop", Tenant("shop", cities={"Pune": ("Poona",), "Delhi": ()}))
    store.close()
    archive_of(data / "archive", EVENTS)
    ours = {"BANNER_CONFIG": str(tmp_path / "config.ini"), "BANNER_DATA_DIRECTORY": str(data)}
    ours["BANNER_SPARK_OPTIONS"] = QUICK_JOB
    ours["JAVA_HOME"] = os.environ.get("JAVA_HOME", "")  # empty is the same as absent, as it is for Spark's own scripts
    return {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")} | ours


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "spark_jobs.clickstream_by_city", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_a_city_is_found_by_any_of_its_names_and_written_as_parquet(
    environment: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "pune"
    answer = run(environment, "--tenant", "shop", "--city", "POONA", "--format", "parquet", "--output", str(output))
    assert answer.returncode == 0, answer.stderr
    wanted = [event for event in EVENTS if (event.tenant, event.city) == ("shop", "Pune")]
    assert len(pd.read_parquet(output)) == len(wanted)
    assert "served" in answer.stdout and "sale" in answer.stdout
    again = run(environment, "--tenant", "shop", "--city", "Pune", "--format", "parquet", "--output", str(output))
    assert again.returncode == 2 and "is there already" in again.stderr


WRONG = {
    "no city of shop; there are: Delhi, Pune": ("--tenant", "shop", "--city", "Atlantis"),
    "there is no nobody; there are: shop": ("--tenant", "nobody", "--city", "Pune"),
    "no day lies between": ("--tenant", "shop", "--city", "Pune", "--from", "2026-06-02", "--to", "2026-06-01"),
    "there is no archive at": ("--tenant", "shop", "--city", "Pune", "--archive", "nowhere"),
    "needs --output": ("--tenant", "shop", "--city", "Pune", "--format", "csv"),
    "needs storage.backend = cassandra": ("--tenant", "shop", "--city", "Pune", "--source", "cassandra"),
    "is neither earliest": ("--tenant", "shop", "--city", "Pune", "--source", "topic", "--starting", "monday"),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input_is_one_clear_line_and_exit_code_2(
    environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("BANNER_CONFIG", "BANNER_DATA_DIRECTORY"):
        monkeypatch.setenv(name, environment[name])
    assert clickstream_by_city.main(WRONG[message]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1] and len(lines) == 1


def test_without_the_jars_or_java_it_says_what_to_run(
    environment: dict[str, str], kafka: Kafka, tmp_path: Path
) -> None:
    topic = ("--tenant", "shop", "--city", "Pune", "--source", "topic")
    name = Topic(kafka.bootstrap).create().name
    with closing(EventWriter(kafka.bootstrap, name)) as writer:
        writer.write([served(1)])
    environment |= {"BANNER_KAFKA_BOOTSTRAP": kafka.bootstrap, "BANNER_KAFKA_TOPIC": name}
    without_jars = run(environment | {"BANNER_SPARK_JARS": str(tmp_path)}, *topic)
    assert without_jars.returncode == 1 and "make spark-jars" in without_jars.stderr
    without_java = run(environment | {"JAVA_HOME": str(tmp_path)}, *topic)
    assert without_java.returncode == 1 and "Java 17 is needed" in without_java.stderr


def test_spark_submit_runs_a_job_too(environment: dict[str, str], tmp_path: Path) -> None:
    submit = Path(sys.executable).with_name("spark-submit")
    arguments = ["--tenant", "shop", "--city", "Pune", "--format", "csv", "--output", str(tmp_path / "csv")]
    options = ["--master", "local[2]", "--conf", "spark.ui.enabled=false"]
    answer = subprocess.run(
        [str(submit), *options, str(ROOT / "spark_jobs" / "clickstream_by_city.py"), *arguments],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    rows = sum(len(path.read_text().splitlines()) - 1 for path in (tmp_path / "csv").glob("*.csv"))
    assert rows == sum((event.tenant, event.city) == ("shop", "Pune") for event in EVENTS)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_every_job_explains_itself(job: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        job.main(["--help"])  # type: ignore[attr-defined]
    assert ended.value.code == 0
    assert "Exit codes:" in capsys.readouterr().out

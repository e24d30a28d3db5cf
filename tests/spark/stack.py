"""The jobs of the distributed mode over one test's topic and keyspace, in the session of all tests."""

import os
import signal
import subprocess
import sys
from argparse import Namespace
from typing import Any

from settings import ROOT, Settings, load
from spark_jobs import archive, distributed_recount
from spark_jobs.cassandra import session_options
from spark_jobs.folding import Exclusions
from storage.archive import ArchiveDirectory
from storage.opening import cassandra_options
from tests.counting.group import Place

KEYS = {"BANNER_SECRETS_TOKEN_KEYS": "1:" + "ab" * 16, "BANNER_SECRETS_CUSTOMER_KEY": "cd" * 16}


class Jobs:
    """Archive and recount of a place."""

    def __init__(self, place: Place, spark: Any, **settings: object) -> None:
        self.place = place
        self.spark = spark
        ours = {f"BANNER_{name.upper()}": str(value) for name, value in settings.items()}
        self.environment = place.environment() | KEYS | {"BANNER_STORAGE_BACKEND": "cassandra"} | ours
        self.settings: Settings = load(self.environment)
        self.archive = ArchiveDirectory(self.settings.archive_directory)
        for name, value in session_options(cassandra_options(self.settings)).items():
            if name != "spark.sql.extensions":
                spark.conf.set(name, value)

    def archive_now(self) -> None:
        """All that is in the topic."""
        assert archive._work(Namespace(available_now=True), self.settings, lambda **_: self.spark) == 0

    def recount(self, *, publish: bool = False, source: str = "archive", exclusions: Exclusions | None = None) -> int:
        """The exit code."""
        return distributed_recount.recount(
            self.settings, exclusions or Exclusions(), lambda **_: self.spark, source=source, publish=publish
        )

    def archiving(self) -> "subprocess.Popen[bytes]":
        """The job as a process of its own, that goes on until it is killed."""
        log = (self.place.directory / "archive.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "spark_jobs.archive"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the job and its Java process."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

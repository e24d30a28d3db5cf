"""A group of consumer processes on real servers, that can be killed and frozen."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from kafka_ingest.client import KafkaOptions
from kafka_ingest.epoch_making import create, publish
from kafka_ingest.epoch_topic import read_topic
from services.kafka import Kafka
from settings import ROOT
from storage.cassandra_session import COUNTING, CassandraOptions, CassandraSession
from tests.counting.traffic import EventWriter
from tests.kafka.topic import Topic
from tests.service_process import free_port, wait_until

SESSION_MS = 6_000
COUNTED_SECONDS = 240.0
STOP_SECONDS = 60.0


class Place:
    """A topic, its dead letters and an epoch in a keyspace: where consumers of one test work."""

    def __init__(self, directory: Path, kafka: Kafka, cassandra: CassandraOptions, *, partitions: int) -> None:
        self.directory = directory
        self.cassandra = cassandra
        self.kafka = KafkaOptions(kafka.bootstrap)
        self.topic = Topic(kafka.bootstrap, partitions=partitions).create()
        self.dead_letters = Topic(kafka.bootstrap, partitions=2, name=f"{self.topic.name}-dead").create()
        self.session = CassandraSession(cassandra)
        self.writer = EventWriter(kafka.bootstrap, self.topic.name)
        self.epoch = create(self.session, self.kafka, self.topic.name, time.time_ns() // 1000)
        publish(self.session, self.kafka, self.epoch.number)
        self.consumers: list[Consumer] = []

    def environment(self) -> dict[str, str]:
        """For everything that reads the settings."""
        config = self.directory / "config.ini"
        config.write_text("")
        ours = {
            "CONFIG": config,
            "DATA_DIRECTORY": self.directory / "data",
            "KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "KAFKA_TOPIC": self.topic.name,
            "KAFKA_DEAD_LETTER_TOPIC": self.dead_letters.name,
            "CASSANDRA_HOSTS": ",".join(self.cassandra.hosts),
            "CASSANDRA_PORT": self.cassandra.port,
            "CASSANDRA_KEYSPACE": self.cassandra.keyspace,
            "CASSANDRA_DATACENTER": self.cassandra.datacenter,
            "CONSUMER_SESSION_TIMEOUT_MS": SESSION_MS,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")}
        return kept | {f"BANNER_{name}": str(value) for name, value in ours.items()}

    def consumer(self, *, module: str = "kafka_ingest.consumer", **environment: str) -> "Consumer":
        """One more consumer, started."""
        one = Consumer(self, f"consumer-{len(self.consumers)}", module, environment)
        self.consumers.append(one)
        return one.start()

    def positions(self, epoch: int | None = None) -> dict[int, int]:
        """Shard -> what is stored as the next offset; of another epoch than its own if given."""
        statement, number = "SELECT next_offset FROM progress WHERE epoch = ? AND shard = ?", epoch or self.epoch.number
        shards = range(read_topic(self.kafka, self.topic.name).partitions)
        answers = self.session.run_many([(statement, (number, shard)) for shard in shards], COUNTING)
        return {shard: rows[0][0] if rows else 0 for shard, rows in zip(shards, answers, strict=True)}

    def wait_until_counted(self, records: int, seconds: float = COUNTED_SECONDS) -> None:
        """Until so many records are counted and stored; consumers that ended are started again."""

        def is_counted() -> bool:
            self.keep_running()
            return sum(self.positions().values()) >= records

        try:
            wait_until(is_counted, f"counted {records} records", seconds)
        except AssertionError as error:
            logs = "\n".join(f"{one.name}:\n{one.log_tail()}" for one in self.consumers)
            raise AssertionError(f"{error}: {self.positions()}\n{logs}") from None

    def keep_running(self) -> None:
        """Start those again that ended by themselves, as a supervisor does."""
        for one in self.consumers:
            if one.is_wanted and not one.is_running:
                one.start()

    def close(self) -> None:
        for one in self.consumers:
            one.kill()
        self.writer.close()
        self.session.close()


class Consumer:
    """A consumer process, the same member of its group each time it is started."""

    def __init__(self, place: Place, name: str, module: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log_path = place.directory / f"{name}.log"
        self.port = free_port()
        self.is_wanted = False
        self._module = module
        ours = {"BANNER_CONSUMER_INSTANCE": name, "BANNER_CONSUMER_METRICS_PORT": str(self.port)}
        self._environment = place.environment() | ours | dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Consumer":
        self.is_wanted = True
        with self.log_path.open("ab") as log:
            self._process = self._popen(log)
        return self

    def _popen(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", self._module],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; it is not started again until somebody does."""
        self.is_wanted = False
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.is_wanted = False
        self.signal(signal.SIGTERM)
        return self.wait_for_exit()

    def wait_for_exit(self) -> int:
        """Its exit code, when it has ended."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def metric(self, name: str) -> float:
        """The sum of this metric over its labels; 0 while it does not answer."""
        with suppress(OSError):
            text = self.get("/metrics")[1]
            values = re.findall(rf"^banner_consumer_{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
            return sum(map(float, values))
        return 0.0

    def get(self, path: str) -> tuple[int, str]:
        """Status and text that it answers. Raises OSError."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-lines:])

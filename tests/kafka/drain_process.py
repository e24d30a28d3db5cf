"""`python app.py drain` into Kafka, and a journal that is written at a steady rate meanwhile."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bandit.event import decode, encode_unstamped, stamped
from kafka_ingest.wire import unframe
from storage.drain_status import DrainStatus, backlog_bytes, is_alive, status
from storage.journal import Journal
from tests.kafka.topic import Topic
from tests.service_process import ROOT, STOP_SECONDS, wait_until
from tests.storage.events import served

Place = tuple[int, int, int]
"""Journal, shard and sequence of an event."""


class DrainProcess:
    """The drain of a data directory; it ends with the test."""

    def __init__(self, directory: Path, topic: Topic, **settings: object) -> None:
        self.journal_directory = directory / "data" / "journal"
        self.log_path = directory / "drain.log"
        ours: dict[str, object] = {
            "DATA_DIRECTORY": directory / "data",
            "STORAGE_BACKEND": "cassandra",
            "KAFKA_BOOTSTRAP": topic.bootstrap,
            "KAFKA_TOPIC": topic.name,
            "SECRETS_TOKEN_KEYS": f"1:{'0a' * 32}",
            "SECRETS_CUSTOMER_KEY": "0b" * 32,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")}
        given = {f"BANNER_{name.upper()}": str(value) for name, value in (ours | settings).items()}
        self._environment = kept | given
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "app.py"), "drain"],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: is_alive(self.journal_directory), "draining", 60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if kind is not None:
            print(f"{self.log_path} ends with:\n{self.log()[-4000:]}")

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """All it wrote."""
        return self.log_path.read_text("utf-8", "replace")

    def status(self) -> DrainStatus:
        """What it says of itself."""
        return status(self.journal_directory)

    def wait_until_drained(self, seconds: float = 120) -> None:
        """Until all that is journaled was delivered."""
        wait_until(lambda: backlog_bytes(self.journal_directory) == 0, "drained", seconds)

    def resident_mib(self) -> float:
        """Of its memory."""
        assert self._process is not None
        answer = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, text=True, check=True
        )
        return int(answer.stdout) / 1024


class Writer:
    """Journals impressions of today at a steady rate, in a thread, and remembers where they stand."""

    def __init__(self, directory: Path, *, per_second: int, shards: int = 4) -> None:
        self._journal = Journal.open(directory)
        self._pause_seconds = 1 / per_second
        self._shards = shards
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written: set[Place] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._journal.close()

    def write(self, shard: int) -> None:
        """One more."""
        now_us = time.time_ns() // 1000
        body = encode_unstamped(served(len(self.written), served_at=now_us))
        stamp, places = stamped(body, shard, self._journal.id), []

        def encode(sequence: int) -> bytes:
            places.append((self._journal.id, shard, sequence))
            return stamp(sequence)

        self._journal.append(shard, encode)
        self.written.update(places)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self.write(len(self.written) % self._shards)
            due += self._pause_seconds
            self._stop.wait(max(0, due - time.monotonic()))


def arrived(topic: Topic) -> set[Place]:
    """Where the events in the topic stood; each in the partition that is its shard."""
    places = set()
    for message in topic.messages():
        event = decode(unframe(message.value)[1])
        assert message.partition == event.shard
        places.add((event.journal, event.shard, event.sequence))
    return places


def warnings(log: str) -> list[str]:
    """The lines in which the drain itself complains. Who looks after the sample ratios misses Cassandra here."""
    found = re.findall(r"^.*(?:WARNING|ERROR|CRITICAL) (?:storage|kafka_ingest|processes)\S*: .*$", log, re.MULTILINE)
    return [line for line in found if "sample ratios were not checked" not in line]

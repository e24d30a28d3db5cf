"""Drains and writers that are killed again and again: what was acknowledged is delivered, and once."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

from storage.drain import is_alive
from tests.storage.journal_records import Place, files, of_journal, wait_until
from tests.storage.recording_sinks import written_places

ROOT = Path(__file__).parents[2]


def start(module: str, *arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", f"tests.storage.{module}", *map(str, arguments)], cwd=ROOT)


def drain_under_fire(directory: Path, manner: str, kills: int) -> tuple[list[Place], list[Place]]:
    """Kill drains and writers again and again, then let a last drain finish: (acknowledged, delivered)."""
    rng = random.Random(5)
    journals, acknowledged, delivered = directory / "journal", directory / "acknowledged", directory / "delivered"
    drainer = start("draining_process", journals, delivered, manner)
    for _ in range(kills):
        writer = start("journal_writer", "paced", journals, acknowledged, 2000)
        before = delivered.stat().st_size if delivered.exists() else 0
        wait_until(partial(_has_more, delivered, before), "records are delivered")
        time.sleep(rng.uniform(0, 0.1))
        for process in rng.sample((drainer, writer), 2):
            process.kill()
            process.wait()
        drainer = start("draining_process", journals, delivered, manner)
    wait_until(lambda: is_alive(journals) and not files(journals), "all is delivered")
    drainer.send_signal(signal.SIGTERM)
    assert drainer.wait(20) == 0
    return written_places(acknowledged), written_places(delivered)


def _has_more(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size > size


def test_killed_drains_and_writers_lose_and_repeat_nothing(tmp_path: Path) -> None:
    acknowledged, delivered = drain_under_fire(tmp_path, "prompt", kills=20)
    assert max(Counter(delivered).values()) == 1
    assert set(acknowledged) <= set(delivered)
    for journal in {place.journal for place in delivered}:
        sequences = [place.sequence for place in of_journal(delivered, journal)]
        assert sequences == list(range(1, len(sequences) + 1))


def test_the_ledger_notices_a_sink_that_returns_before_it_has_written(tmp_path: Path) -> None:
    """A batch is in the sink's memory at every kill, whose records the mark has passed."""
    acknowledged, delivered = drain_under_fire(tmp_path, "lazy", kills=2)
    assert set(acknowledged) - set(delivered)

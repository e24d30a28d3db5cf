"""Numbers for Prometheus: nothing lost, nothing counted twice, over processes that come and go."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client.values import close_all_multiprocess_files

from web.door import METHODS
from web.metrics import SAMPLE_EVERY, Metrics

ROOT = Path(__file__).parents[2]
WORKER = """
import resource
import sys
from pathlib import Path
from web.metrics import Metrics

def let_files_grow(to):
    resource.setrlimit(resource.RLIMIT_FSIZE, (to, resource.RLIM_INFINITY))

if sys.argv[2:] == ["disk is full"]:
    let_files_grow(4096)
metrics = Metrics(Path(sys.argv[1]), dict)
for line in sys.stdin:
    if line == "there is room\\n":
        let_files_grow(resource.RLIM_INFINITY)
        continue
    metrics.took("/banner", 0.001)
    for _ in range(int(line)):
        metrics.answered("/banner", 200)
    metrics.happened("line")
    print(metrics.render().decode().replace("\\n", "|"), flush=True)
"""


class Process:
    """A worker process that counts what it is told to."""

    def __init__(self, directory: Path, *how: str) -> None:
        command = [sys.executable, "-c", WORKER, str(directory), *how]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

    def answer(self, times: int) -> dict[str, float]:
        """Count so many calls; the numbers of all workers."""
        assert self._child.stdout is not None
        self.tell(str(times))
        return numbers(self._child.stdout.readline().replace("|", "\n"))

    def tell(self, line: str) -> None:
        """A line that WORKER reads."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{line}\n")
        self._child.stdin.flush()

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Without any farewell."""
        self._child.send_signal(how)
        self._child.communicate()


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    gauges = {"banner_parcels_total": ("Parcels.", 7.0), "banner_weight_bytes": ("Weight.", 2.5)}
    found = Metrics(tmp_path, lambda: gauges)
    yield found
    found.stop()
    close_all_multiprocess_files()  # type: ignore[no-untyped-call]


def numbers(text: str) -> dict[str, float]:
    """Sample -> value."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {sample: float(value) for sample, _, value in lines}


def requests(samples: dict[str, float], status: int = 200) -> float:
    """How many calls of GET /banner were answered so."""
    return samples[f'banner_requests_total{{call="/banner",status="{status}"}}']


def test_reading_twice_counts_once(metrics: Metrics) -> None:
    for status in (200, 200, 204):
        metrics.answered("/banner", status)
    metrics.happened("feedback_refused")
    for _ in range(3):
        samples = numbers(metrics.render().decode())
        assert (requests(samples), requests(samples, 204)) == (2, 1)
        assert samples['banner_events_total{event="feedback_refused"}'] == 1
    metrics.answered("/banner", 200)
    assert requests(numbers(metrics.render().decode())) == 3


def test_publishing_while_counting_loses_nothing_and_adds_nothing(metrics: Metrics) -> None:
    done = threading.Event()

    def publish() -> None:
        while not done.is_set():
            metrics.render()

    reader = threading.Thread(target=publish)
    reader.start()
    for number in range(50_000):
        metrics.answered("/banner", 200 + number % 5)
    done.set()
    reader.join()
    samples = numbers(metrics.render().decode())
    assert [requests(samples, 200 + number) for number in range(5)] == [10_000] * 5


def test_a_call_in_so_many_is_timed_however_slowly_they_come(metrics: Metrics) -> None:
    timed = 0
    for _ in range(3 * SAMPLE_EVERY):
        timed += metrics.answered("/banner", 200)
        metrics.render()  # as the publisher does between two calls that are seconds apart
    assert timed == 3


def test_all_workers_are_summed(tmp_path: Path) -> None:
    first, second = Process(tmp_path), Process(tmp_path)
    assert requests(first.answer(3)) == 3
    assert requests(second.answer(4)) == 7
    assert requests(first.answer(1)) == 8
    assert {path.name for path in tmp_path.glob("counter_*.db")} == {"counter_0.db", "counter_1.db"}
    first.end()
    second.end()


def test_who_follows_a_killed_worker_goes_on_with_its_numbers(tmp_path: Path) -> None:
    first, second = Process(tmp_path), Process(tmp_path)
    first.answer(3)
    second.answer(4)
    first.end(signal.SIGKILL)
    third = Process(tmp_path)
    assert requests(third.answer(2)) == 9
    assert requests(second.answer(1)) == 10
    assert {path.name for path in tmp_path.glob("counter_*.db")} == {"counter_0.db", "counter_1.db"}
    second.end()
    third.end()


def count_everything(metrics: Metrics) -> None:
    """Every number there can be."""
    for call in METHODS:
        metrics.took(call, 0.001)
        for status in HTTPStatus:
            metrics.answered(call, status)
    for event in ("impression_not_recorded", "feedback_refused"):
        metrics.happened(event)
    metrics.render()


def holes(path: Path) -> int:
    """How many bytes of a file still need room on the disk: writing them through a map, while it is full, kills."""
    status = path.stat()
    return max(0, status.st_size - status.st_blocks * 512)


def test_the_files_take_their_room_at_the_start_and_need_no_more(tmp_path: Path, metrics: Metrics) -> None:
    files = sorted(tmp_path.glob("*.db"))
    at_start = [path.stat().st_size for path in files]
    assert [path.name for path in files] == ["counter_0.db", "histogram_0.db"]
    count_everything(metrics)
    assert sorted(tmp_path.glob("*.db")) == files
    assert [path.stat().st_size for path in files] == at_start
    assert [holes(path) for path in files] == [0, 0]


def test_files_with_holes_as_older_releases_made_them_are_filled(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.answer(3)
    first.end()
    files = list(tmp_path.glob("*.db"))
    for path in files:
        path.write_bytes(path.read_bytes()[:4096])
        os.truncate(path, 1 << 16)
        assert holes(path)
    second = Process(tmp_path)
    assert requests(second.answer(2)) == 5
    assert [holes(path) for path in files] == [0, 0]
    second.end()


def test_a_worker_that_finds_no_room_counts_on_and_shows_it_when_there_is_some(tmp_path: Path) -> None:
    other = Process(tmp_path)
    assert requests(other.answer(1)) == 1
    poor = Process(tmp_path, "disk is full")
    assert requests(poor.answer(3)) == 1
    assert requests(other.answer(1)) == 2
    poor.tell("there is room")
    assert requests(poor.answer(4)) == 9
    other.end()
    poor.end()


def test_what_only_grows_is_a_counter_and_the_rest_gauges(metrics: Metrics) -> None:
    text = metrics.render().decode()
    assert "# TYPE banner_parcels_total counter\nbanner_parcels_total 7.0\n" in text
    assert "# TYPE banner_weight_bytes gauge\nbanner_weight_bytes 2.5\n" in text

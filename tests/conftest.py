"""What all tests share: the service as a real process, and the time each group of tests took."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests import services_fixtures
from tests.service_process import Service

StartService = Callable[..., Service]

cassandra = services_fixtures.cassandra
cassandra_cluster = services_fixtures.cassandra_cluster
keyspace = services_fixtures.keyspace
kafka = services_fixtures.kafka
kafka_cluster = services_fixtures.kafka_cluster
registry = services_fixtures.registry

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartService]:
    """`service(workers=1, **settings)` starts `python app.py` and returns it once it is ready.

    Settings are named as in the environment without the prefix: `service(workers=4, journal_sync="always")`. Every
    process is ended with the test, and a failed test shows the log. `ready=False` does not wait.
    """
    started: list[Service] = []

    def start(*, workers: int = 1, ready: bool = True, **settings: object) -> Service:
        one = Service(tmp_path / f"service-{len(started)}", workers=workers, **settings)
        started.append(one)
        return one.start(ready=ready)

    yield start
    for one in started:
        one.close()
        if request.node.stash.get(FAILED, False):
            print(f"{one.log_path} ends with:\n{one.log_tail()}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[_group(report.nodeid)] += report.duration  # type: ignore[assignment]
    terminalreporter.section("time of each group, added up over files that ran side by side")
    for group, taken in sorted(seconds.items()):
        terminalreporter.write_line(f"{taken:8.1f} s  {group}")


def _group(nodeid: str) -> str:
    path = Path(nodeid.partition("::")[0])
    return path.parts[1] if len(path.parts) > 2 else path.stem

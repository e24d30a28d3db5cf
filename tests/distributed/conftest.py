"""What the tests of the whole distributed mode share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.kafka import Kafka
from storage.cassandra_session import CassandraOptions
from tests.conftest import FAILED, StartService
from tests.counting.group import Place
from tests.distributed.installed import DistributedService

MakePlace = Callable[[CassandraOptions], Place]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, options: CassandraOptions) -> Iterator[Place]:
    """A topic of four partitions, an epoch, and two consumers; for the tests of one file."""
    made = Place(tmp_path_factory.mktemp("place"), kafka, options, partitions=4)
    for _ in range(2):
        made.consumer()
    yield made
    made.close()


@pytest.fixture
def service(request: pytest.FixtureRequest, tmp_path: Path, place: Place) -> Iterator[StartService]:
    """As the fixture of the embedded mode; its events go to the place of the file."""
    started: list[DistributedService] = []

    def start(*, workers: int = 1, ready: bool = True, **settings: object) -> DistributedService:
        one = DistributedService(tmp_path / f"service-{len(started)}", place, workers=workers, **settings)
        started.append(one)
        one.start(ready=ready)
        return one

    yield start
    for one in started:
        one.close()
        if request.node.stash.get(FAILED, False):
            print(f"{one.log_path} ends with:\n{one.log_tail()}")

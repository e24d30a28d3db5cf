"""The promises of the service in the distributed mode, with the tests of the embedded one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from bandit.event import BannerEvent
from services.cassandra import Cassandra
from storage.cassandra_session import CassandraOptions
from tests.counting.group import Place
from tests.distributed import installed
from tests.distributed.installed import DistributedService
from tests.service.promises import WORKERS, Away, Journaled, ServicePromises
from tests.service_process import Service


@pytest.fixture(scope="module")
def options(keyspace: CassandraOptions) -> CassandraOptions:
    return keyspace


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, place: Place) -> Iterator[Service]:
    """One service for all tests that leave it as it was."""
    running = DistributedService(tmp_path_factory.mktemp("service"), place, workers=WORKERS)
    try:
        yield running.start()
    finally:
        running.close()


@pytest.fixture
def away(cassandra: Cassandra) -> Away:
    """Cassandra is frozen: it keeps its connections and answers nothing."""

    def freeze(_service: Service) -> AbstractContextManager[None]:
        return installed.frozen(cassandra)

    return freeze


@pytest.fixture
def journaled(place: Place) -> Journaled:
    def events(_service: Service) -> list[BannerEvent]:
        return installed.journaled(place)

    return events


class TestDistributedPromises(ServicePromises):
    # Consumers store every second, and share the machine with a Cassandra, a Kafka and the tests.
    feedback_shows_seconds = 30

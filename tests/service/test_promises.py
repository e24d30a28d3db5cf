"""The promises of the service in the embedded mode: four workers, one drain, one store."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bandit.event import BannerEvent
from tests.service import stored
from tests.service.promises import WORKERS, Away, Journaled, ServicePromises
from tests.service_process import Service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that leave it as it was."""
    running = Service(tmp_path_factory.mktemp("service"), workers=WORKERS)
    try:
        yield running.start()
    finally:
        running.close()


@pytest.fixture
def away() -> Away:
    """The file is moved, and something that is no database is in its place."""

    @contextmanager
    def moved(service: Service) -> Iterator[None]:
        away = service.store_path.with_name("away.db")
        service.store_path.rename(away)
        service.store_path.mkdir()
        yield
        service.store_path.rmdir()
        away.rename(service.store_path)

    return moved


@pytest.fixture
def journaled() -> Journaled:
    def events(service: Service) -> list[BannerEvent]:
        return stored.events(service.store_path)

    return events


class TestEmbeddedPromises(ServicePromises):
    feedback_shows_seconds = 5

"""What the tests of counting on real servers share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.kafka import Kafka
from storage.cassandra_session import CassandraOptions
from tests import services_fixtures
from tests.counting.group import Place

MakePlace = Callable[..., Place]
keyspace = services_fixtures.keyspace


@pytest.fixture
def place(tmp_path: Path, kafka: Kafka, keyspace: CassandraOptions) -> Iterator[MakePlace]:
    """`place(partitions=4)` makes a topic and an epoch; its consumers end with the test."""
    made: list[Place] = []

    def make(*, partitions: int = 4) -> Place:
        directory = tmp_path / f"place-{len(made)}"
        directory.mkdir()
        made.append(Place(directory, kafka, keyspace, partitions=partitions))
        return made[-1]

    yield make
    for one in made:
        one.close()

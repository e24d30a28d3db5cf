"""What the tests of counting on real servers share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.kafka import Kafka
from storage.cassandra_session import CassandraOptions, CassandraSession
from tests import services_fixtures
from tests.counting.group import Place
from tests.services_fixtures import empty

MakePlace = Callable[..., Place]
keyspace = services_fixtures.keyspace


@pytest.fixture
def place(tmp_path: Path, kafka: Kafka, keyspace: CassandraOptions) -> Iterator[MakePlace]:
    """`place(partitions=4)`, once in a test: a topic and an epoch in empty tables; its consumers end with the test."""
    made: list[Place] = []

    def make(*, partitions: int = 4) -> Place:
        session = CassandraSession(keyspace)
        empty(session)
        session.close()
        made.append(Place(tmp_path, kafka, keyspace, partitions=partitions))
        return made[-1]

    yield make
    for one in made:
        one.close()

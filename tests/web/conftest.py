"""What the tests of the HTTP side share: each runs over the embedded store and over Cassandra, asserting the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cassandra import Cassandra
from storage.cassandra_session import CassandraOptions, CassandraSession
from tests.backends import Backend, Distributed, Embedded
from tests.services_fixtures import make_keyspace
from tests.web import flask_side


@pytest.fixture(scope="session")
def web_keyspace(cassandra: Cassandra) -> Iterator[tuple[CassandraOptions, CassandraSession]]:
    """One for all tests of this directory, emptied for each."""
    options = make_keyspace(cassandra)
    session = CassandraSession(options)
    yield options, session
    session.close()


@pytest.fixture(params=["embedded", "distributed"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Where the data of a test are."""
    if request.param == "embedded":
        return Embedded(tmp_path)
    return Distributed(tmp_path, *request.getfixturevalue("web_keyspace"))


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages read all they show at once, however busy the machine."""
    monkeypatch.setattr("web.dashboard_overview.READING_SECONDS", 60)


@pytest.fixture
def side(tmp_path: Path, backend: Backend) -> Iterator[flask_side.Side]:
    """An application over a store of its own; see flask_side."""
    made = flask_side.make(tmp_path, backend)
    yield made
    made.close()

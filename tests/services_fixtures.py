"""Real Cassandra, Kafka and registry for tests; a test that needs one that cannot be had is skipped, or fails in CI."""

import os
import re
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from services import Missing
from services.cassandra import Cassandra
from services.cluster import Cluster
from services.kafka import Kafka
from services.registry import Registry
from storage.cassandra_session import COUNTING, CassandraOptions, CassandraSession, Request
from storage.cassandra_tables import SCHEMA_PATH, apply

TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \(.*?PRIMARY KEY \(\(([^)]*)\)", re.DOTALL)
"""Name and partition key."""
KEPT = ("schema_version", "configuration")
STAMPED = {
    "counts",
    "counts_by_referrer",
    "unrecognised_cities",
    "sampled",
    "would_be",
    "names",
    "clicks_by_city",
    "progress",
}
"""Written with stamps that are not of the present: a deletion, being of now, would outrank what comes."""
BY_CUSTOMERS_CLOCK = {"clicks_by_city"}
"""Those of STAMPED that are so where counting started after the tables were emptied, as a CountingSink does."""

Kind = TypeVar("Kind", bound=Cluster)


def running(cluster: Kind) -> Iterator[Kind]:
    """For fixtures: it runs until the fixture ends; skips, or fails in CI, where it cannot be had."""
    try:
        cluster.start()
        yield cluster
    except Missing as missing:
        if "REQUIRE_SERVICES" in os.environ:
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    finally:
        cluster.close()


def make_keyspace(cassandra: Cassandra) -> CassandraOptions:
    """A new keyspace with all tables, copied to every node."""
    options = CassandraOptions(
        tuple(cassandra.hosts), cassandra.port, f"test_{uuid.uuid4().hex[:12]}", cassandra.datacenter
    )
    apply(options, {cassandra.datacenter: len(cassandra.hosts)})
    return options


def empty(session: CassandraSession, stamped: Collection[str] = STAMPED) -> None:
    """Remove the rows of all tables, which takes less time than a new keyspace. Those of `stamped` are truncated if
    they have any, which takes a second for several."""
    tables = [table for table in TABLE.findall(SCHEMA_PATH.read_text()) if table[0] not in KEPT]
    found = session.run_many([(f"SELECT DISTINCT {key} FROM {name}", ()) for name, key in tables], COUNTING)
    deletions: list[Request] = []
    for (name, key), rows in zip(tables, found, strict=True):
        if rows and name in stamped:
            session.define(f"TRUNCATE {name}")
        else:
            where = " AND ".join(f"{column.strip()} = ?" for column in key.split(","))
            deletions += [(f"DELETE FROM {name} WHERE {where}", row) for row in rows]
    session.run_many(deletions, COUNTING)
    session.define("UPDATE configuration SET active_epoch = 0, change = null WHERE scope = 'all' IF active_epoch != 0")


def _directory(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("services")


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    """One node, for all tests of the session; take a keyspace of your own, and leave the node running."""
    yield from running(Cassandra(_directory(tmp_path_factory)))


@pytest.fixture(scope="module")
def keyspace(cassandra: Cassandra) -> CassandraOptions:
    """A keyspace of this file's own with all tables, in the Cassandra of the session."""
    return make_keyspace(cassandra)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker, for all tests of the session; take topics of your own, and leave it running."""
    yield from running(Kafka(_directory(tmp_path_factory)))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A schema registry, for all tests of the session."""
    yield from running(Registry(_directory(tmp_path_factory)))


@pytest.fixture(scope="module")
def cassandra_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    """Three nodes, for the tests of one file, which may kill and freeze them."""
    yield from running(Cassandra(_directory(tmp_path_factory), nodes=3))


@pytest.fixture(scope="module")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Three brokers, for the tests of one file, which may kill and freeze them."""
    yield from running(Kafka(_directory(tmp_path_factory), brokers=3))

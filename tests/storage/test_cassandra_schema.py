"""The command that makes the tables in Cassandra."""

import pytest

from services.cassandra import Cassandra
from storage import cassandra_schema
from storage.cassandra_session import COUNTING, CassandraOptions, CassandraSession
from storage.cassandra_tables import READ_VERSION, VERSION
from tests.service_process import free_port

Capture = pytest.CaptureFixture[str]
COPIES = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?"


def environment(cassandra: Cassandra) -> dict[str, str]:
    return {
        "BANNER_CONFIG": "/dev/null",
        "BANNER_CASSANDRA_HOSTS": ",".join(cassandra.hosts),
        "BANNER_CASSANDRA_PORT": str(cassandra.port),
        "BANNER_CASSANDRA_KEYSPACE": "made_by_command",
        "BANNER_CASSANDRA_DATACENTER": cassandra.datacenter,
        "BANNER_CASSANDRA_REPLICATION": f"{cassandra.datacenter}:1",
    }


def test_the_command_makes_the_keyspace_with_its_copies_and_may_be_repeated(
    cassandra: Cassandra, capsys: Capture
) -> None:
    for said in ("has the tables of this release now", "has the tables of this release already"):
        assert cassandra_schema.main([], environment(cassandra)) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"made_by_command {said}"
    session = CassandraSession(
        CassandraOptions(tuple(cassandra.hosts), cassandra.port, "made_by_command", cassandra.datacenter)
    )
    try:
        ((copies,),) = session.run(COPIES, ("made_by_command",), COUNTING)
        assert copies["class"].endswith("NetworkTopologyStrategy") and copies[cassandra.datacenter] == "1"
        assert session.run(READ_VERSION, (), COUNTING) == [(VERSION,)]
    finally:
        session.close()


def test_where_cassandra_is_not_it_says_so_in_one_line(cassandra: Cassandra, capsys: Capture) -> None:
    nowhere = environment(cassandra) | {"BANNER_CASSANDRA_PORT": str(free_port())}
    assert cassandra_schema.main([], nowhere) == 1
    said = capsys.readouterr().err
    assert said.startswith("the tables cannot be made: Cassandra: ") and said.count("\n") == 1

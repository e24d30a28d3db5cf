"""Access to Cassandra: what is made once, what is repeated, and how its errors look from outside."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.cassandra import Cassandra
from storage.base import SchemaVersionError, StoreUnavailable
from storage.cassandra_session import (
    CONFIGURING,
    COUNTING,
    SERVING,
    CassandraOptions,
    CassandraSession,
    OutcomeUnknown,
    SchemaMissing,
    Together,
)
from storage.cassandra_tables import READ_VERSION, VERSION, WRITE_VERSION, apply, statements, version
from tests.service_process import wait_until

WRITE = "INSERT INTO tenants (tenant, document) VALUES (?, ?)"
READ = "SELECT document FROM tenants WHERE tenant = ?"
PUT_FIRST = "INSERT INTO tenants (tenant, document) VALUES (?, ?) IF NOT EXISTS"


@pytest.fixture
def session(keyspace: CassandraOptions) -> Iterator[CassandraSession]:
    opened = CassandraSession(keyspace)
    yield opened
    opened.close()


@pytest.mark.parametrize("profile", [SERVING, COUNTING, CONFIGURING])
def test_what_is_written_can_be_read(session: CassandraSession, profile: str) -> None:
    session.run(WRITE, ("shop", profile), profile)
    assert session.run(READ, ("shop",), profile) == [(profile,)]


def test_many_statements_are_answered_in_their_order(session: CassandraSession) -> None:
    session.run_many([(WRITE, (f"t{number}", str(number))) for number in range(500)], COUNTING)
    answers = session.run_many([(READ, (f"t{number}",)) for number in range(500)], COUNTING)
    assert answers == [[(str(number),)] for number in range(500)]


def test_writes_that_travel_together_are_all_done(session: CassandraSession) -> None:
    writes = [(WRITE, (f"together-{number}", str(number))) for number in range(20)]
    session.run_many([Together(writes[:10]), Together(writes[10:])], COUNTING)
    answers = session.run_many([(READ, (f"together-{number}",)) for number in range(20)], COUNTING)
    assert [rows[0][0] for rows in answers] == [str(number) for number in range(20)]


def test_an_answer_of_several_pages_is_whole(session: CassandraSession) -> None:
    rows = [("INSERT INTO slots (tenant, slot, document) VALUES ('big', ?, '')", (f"s{n:05}",)) for n in range(12_000)]
    session.run_many(rows, COUNTING)
    assert len(session.run("SELECT slot FROM slots WHERE tenant = 'big'")) == 12_000


def test_a_conditional_write_says_whether_it_was_applied(session: CassandraSession) -> None:
    assert session.compare_and_set(PUT_FIRST, ("first", "1"))
    assert not session.compare_and_set(PUT_FIRST, ("first", "2"))
    assert session.run(READ, ("first",)) == [("1",)]


def test_a_session_serves_many_threads_from_its_first_use_on(session: CassandraSession) -> None:
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(session.run(READ_VERSION))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[(VERSION,)]] * 16


def test_a_child_after_a_fork_connects_anew(session: CassandraSession) -> None:
    """A session that was used before the fork would wait for ever in the child."""
    session.run(READ_VERSION)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if session.run(READ_VERSION) == [(VERSION,)] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert session.run(READ_VERSION) == [(VERSION,)]


def test_a_closed_session_stays_closed(session: CassandraSession) -> None:
    session.run(READ_VERSION)
    session.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        session.run(READ_VERSION)


def test_what_is_not_there_is_unavailable_at_once_and_then_without_asking_again() -> None:
    nowhere = CassandraSession(CassandraOptions(port=1))
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
            nowhere.run(READ_VERSION)
    nowhere.close()


def test_a_name_that_does_not_resolve_is_unavailable_and_named() -> None:
    nowhere = CassandraSession(CassandraOptions(("nobody.invalid",)))
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"\[cassandra\] hosts: none of nobody\.invalid resolves"):
            nowhere.run(READ_VERSION)
    nowhere.close()


def test_another_data_centre_is_refused_with_the_names_there_are(keyspace: CassandraOptions) -> None:
    elsewhere = CassandraSession(replace(keyspace, datacenter="dc9"))
    with pytest.raises(StoreUnavailable, match=r"datacenter is dc9.*datacenter1"):
        elsewhere.run(READ_VERSION)
    elsewhere.close()


def test_a_missing_keyspace_or_table_names_the_command_that_makes_it(
    keyspace: CassandraOptions, session: CassandraSession
) -> None:
    unmade = CassandraSession(replace(keyspace, keyspace="unmade"))
    with pytest.raises(SchemaMissing, match=r"python -m storage\.cassandra_schema"):
        unmade.run(READ_VERSION)
    unmade.close()
    with pytest.raises(SchemaMissing, match=r"python -m storage\.cassandra_schema"):
        session.run("SELECT a FROM nothing")


def test_a_certificate_that_is_no_file_is_said(keyspace: CassandraOptions, tmp_path: Path) -> None:
    broken = CassandraSession(replace(keyspace, tls="chain", tls_ca=str(tmp_path / "ca.pem")))
    with pytest.raises(StoreUnavailable, match="tls_ca"):
        broken.run(READ_VERSION)


def test_a_frozen_cassandra_is_unavailable_and_then_works_again(
    cassandra: Cassandra, session: CassandraSession
) -> None:
    session.run(WRITE, ("shop", "before"))
    session.compare_and_set(PUT_FIRST, ("thawed", "1"))
    cassandra.freeze(0)
    try:
        with pytest.raises(OutcomeUnknown):
            session.compare_and_set(PUT_FIRST, ("frozen", "1"))
        for profile in (SERVING, COUNTING):
            with pytest.raises(StoreUnavailable):
                session.run(READ, ("shop",), profile)
    finally:
        cassandra.thaw(0)
    wait_until(lambda: _answers(session), "it answers again", 60)


def _answers(session: CassandraSession) -> bool:
    try:
        return session.run(READ, ("shop",)) == [("before",)]
    except StoreUnavailable:
        return False


# --- the schema ---


def test_the_schema_can_be_applied_again(keyspace: CassandraOptions) -> None:
    assert not apply(keyspace, {keyspace.datacenter: 1})


def test_a_schema_that_was_interrupted_is_completed(keyspace: CassandraOptions, session: CassandraSession) -> None:
    session.define("DROP TABLE schema_version")
    session.define("DROP TABLE names")
    assert apply(keyspace, {keyspace.datacenter: 1})
    assert version(session) == VERSION
    assert session.run("SELECT name FROM names") == []


def test_a_newer_schema_is_refused(keyspace: CassandraOptions, session: CassandraSession) -> None:
    session.run(WRITE_VERSION, (99,), COUNTING)
    try:
        with pytest.raises(SchemaVersionError, match=r"version 99.*up to \d+.*newer release"):
            apply(keyspace, {keyspace.datacenter: 1})
    finally:
        session.run(WRITE_VERSION, (VERSION,), COUNTING)


def test_the_file_for_cqlsh_makes_the_version_that_the_command_makes() -> None:
    last = statements()[-1]
    assert last.startswith("INSERT INTO schema_version")
    assert re.search(r"VALUES \('all', (\d+)\)", last)[1] == str(VERSION)  # type: ignore[index]


def test_no_table_is_of_counters() -> None:
    assert not [one for one in statements() if re.search(r"\bcounter\b", one, re.IGNORECASE)]

"""Forgetting a customer whose events are still on their way through Kafka."""

import pytest

from commands import forget_customer
from serving.keyring import customer_digest
from storage.archive import ArchiveDirectory, Manifest
from storage.cassandra import CassandraStore
from tests.backends import environment
from tests.counting.conftest import MakePlace
from tests.counting.group import Place
from tests.storage.events import DAY, clicked, served

Capture = pytest.CaptureFixture[str]
COMMAND = ["--tenant", "shop", "--customer", "anna"]


def with_settings_of(one: Place, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The settings of the distributed mode; anna's hash."""
    ours = one.environment() | environment(one.cassandra)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    (one.directory / "data" / "journal").mkdir(parents=True)
    return customer_digest(bytes.fromhex(ours["BANNER_SECRETS_CUSTOMER_KEY"]), "shop", "anna")[:8]


def write_a_click(one: Place, customer: bytes) -> None:
    impression = served(1, customer=customer, journal=1, sequence=1)
    one.writer.write([impression, clicked(impression)._replace(sequence=2)])


def test_it_is_not_done_while_a_click_waits_in_kafka_to_be_counted(
    place: MakePlace, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    one = place(partitions=1)
    customer = with_settings_of(one, monkeypatch)
    monkeypatch.setattr(forget_customer, "WAIT_SECONDS", 1.0)
    write_a_click(one, customer)
    assert forget_customer.main(COMMAND) == 1
    said = capsys.readouterr()
    assert "2 events are in Kafka and not counted yet, in shards 0. Run this again" in said.err
    assert f"the topics {one.topic.name} and {one.dead_letters.name}" in said.out
    one.consumer()
    one.wait_until_counted(2)
    assert forget_customer.main(COMMAND) == 0
    assert "1 rows no longer name" in capsys.readouterr().out
    store = CassandraStore(one.cassandra)
    assert [click.customer for click in store.clicks("shop", "Pune", DAY)] == [None]
    store.close()


def test_it_waits_for_consumers_that_are_at_work(place: MakePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    one = place(partitions=1)
    customer = with_settings_of(one, monkeypatch)
    monkeypatch.setattr(forget_customer, "WAIT_SECONDS", 60.0)
    write_a_click(one, customer)
    one.consumer()
    assert forget_customer.main(COMMAND) == 0


def test_where_kafka_cannot_be_asked_it_says_so_and_names_what_was_never_searched(
    place: MakePlace, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    one = place(partitions=1)
    with_settings_of(one, monkeypatch)
    monkeypatch.setenv("BANNER_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    archive = ArchiveDirectory(one.directory / "data" / "archive")
    archive.create(Manifest(topic=one.topic.name, topic_id=one.epoch.topic_id))
    archive.undecodable.mkdir()
    (archive.undecodable / "stream-0-0.parquet").touch()
    assert forget_customer.main(COMMAND) == 1
    said = capsys.readouterr()
    assert "cannot be said: Kafka" in said.err and "Run this again" in said.err
    assert f"{archive.undecodable} holds messages nobody could read" in said.out

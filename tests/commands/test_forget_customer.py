from pathlib import Path

import pytest

from bandit.event import encode
from commands import forget_customer
from commands.forget_customer import CannotForget, forget
from data_directory import Paths
from serving.keyring import customer_digest
from serving.secret_file import load_or_create
from settings import Settings, load
from storage.base import Record, Refusal
from storage.drain_status import is_alive
from storage.refused import dead_letter_files, write_refusals
from storage.sqlite import SqliteStore
from tests.commands.stored_events import DAY, an_event, drain_all, draining, events, paths, recorder
from tests.service_process import wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config.ini").write_text(f"[data]\ndirectory = {tmp_path / 'data'}\n")
    return load({}, tmp_path / "config.ini")


@pytest.fixture
def where(settings: Settings) -> Paths:
    return paths(settings.paths.data)


def stored_hash(where: Paths, customer: str, tenant: str = "shop") -> bytes:
    return customer_digest(load_or_create(where.secrets).customer_key, tenant, customer)[:8]


def record_visits(where: Paths) -> None:
    """One impression and one click of two customers, one of them also at another shop."""
    with recorder(where) as writing:
        for customer, tenant in (("anna", "shop"), ("ben", "shop"), ("anna", "other")):
            known_as = stored_hash(where, customer, tenant)
            writing.click(writing.serve(known_as, tenant), known_as, tenant)


def test_a_customer_is_erased_from_clicks_and_events_and_nobody_else_is(settings: Settings, where: Paths) -> None:
    record_visits(where)
    drain_all(where)
    said: list[str] = []
    forget(settings, "shop", "anna", said.append)
    assert said[-1] == "3 rows no longer name this customer"
    ben, other = stored_hash(where, "ben"), stored_hash(where, "anna", "other")
    assert [event.customer for event in events(where)] == [None, None, ben, ben, other, other]
    clicks = SqliteStore(where.database).clicks("shop", "pune", DAY)
    assert sorted(click.customer or b"" for click in clicks) == [b"", ben]


def test_counts_stay_when_a_customer_is_forgotten(settings: Settings, where: Paths) -> None:
    record_visits(where)
    drain_all(where)
    store = SqliteStore(where.database)
    before = store.counts("shop", "home", DAY, DAY)
    forget(settings, "shop", "anna", str)
    assert store.counts("shop", "home", DAY, DAY) == before


def test_events_still_in_the_journal_are_waited_for(settings: Settings, where: Paths) -> None:
    record_visits(where)
    with draining(where):
        wait_until(lambda: is_alive(where.journal), "draining")
        forget(settings, "shop", "anna", str)
    assert stored_hash(where, "anna") not in {event.customer for event in events(where)}


def test_events_that_nobody_delivers_are_said(settings: Settings, where: Paths) -> None:
    record_visits(where)
    with pytest.raises(CannotForget, match=r"python app\.py drain"):
        forget(settings, "shop", "anna", str)


def dead_letter(where: Paths, customer: str, tenant: str = "shop") -> Refusal:
    payload = encode(an_event(customer=stored_hash(where, customer, tenant), tenant=tenant))
    return Refusal(Record(0, payload), "for the test")


def test_dead_letters_that_name_the_customer_are_said(settings: Settings, where: Paths) -> None:
    write_refusals(where.journal, [dead_letter(where, "anna"), dead_letter(where, "ben")])
    with pytest.raises(CannotForget, match=r"1 dead letters .* storage\.dead_letters replay"):
        forget(settings, "shop", "anna", str)
    dead_letter_files(where.journal)[0].unlink()
    forget(settings, "shop", "anna", str)


def test_dead_letters_of_others_are_no_obstacle(settings: Settings, where: Paths) -> None:
    write_refusals(where.journal, [dead_letter(where, "ben"), dead_letter(where, "anna", "other")])
    forget(settings, "shop", "anna", str)


def test_a_dead_letter_that_is_no_event_may_name_the_customer(settings: Settings, where: Paths) -> None:
    stored_hash(where, "anna")  # makes the secrets
    write_refusals(where.journal, [Refusal(Record(0, b"not an event"), "for the test")])
    with pytest.raises(CannotForget, match="cannot be read"):
        forget(settings, "shop", "anna", str)


def test_without_the_secret_nothing_is_forgotten_and_none_is_made(settings: Settings, where: Paths) -> None:
    with pytest.raises(CannotForget, match=r"secrets\.json"):
        forget(settings, "shop", "anna", str)
    assert not where.secrets.exists()


def test_the_command_says_how_many_rows_it_changed(
    where: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record_visits(where)
    drain_all(where)
    monkeypatch.setenv("BANNER_DATA_DIRECTORY", str(where.data))
    assert forget_customer.main(["--tenant", "shop", "--customer", "ben"]) == 0
    assert "3 rows" in capsys.readouterr().out
    assert forget_customer.main(["--tenant", "shop", "--customer", "ben"]) == 0
    assert "0 rows" in capsys.readouterr().out

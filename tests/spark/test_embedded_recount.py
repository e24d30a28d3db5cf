"""The recount of the embedded store through its front door, but with the session of the other tests."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from bandit.model import Tenant
from settings import Settings, load
from spark_jobs import embedded_recount
from spark_jobs.folding import Exclusions
from storage.sqlite import SqliteStore
from tests.backends import Embedded
from tests.spark.shoppers import Shoppers
from tests.storage.archived import some_events
from tests.storage.events import DAY, NOON_US, Log, clicked, served

EVENTS = some_events(120)
MANY_EVENTS = 200_000
Recount = Callable[..., int]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config.ini").write_text(f"[data]\ndirectory = {tmp_path / 'data'}\n")
    found = load({}, tmp_path / "config.ini")
    found.paths.make()
    return found


@pytest.fixture
def store(settings: Settings) -> SqliteStore:
    store = SqliteStore.open(settings.paths.database)
    store.put_tenant("shop", Tenant("shop"))
    log = Log()
    records = log.records(*EVENTS)
    assert store.deliver(records) == []
    assert store.deliver(records[:50]) == []  # the drain was killed before it moved its mark
    return store


@pytest.fixture
def recount(compiled_spark: Any, settings: Settings) -> Recount:
    def one(*, publish: bool = False, exclusions: Exclusions | None = None) -> int:
        return embedded_recount.recount(
            settings, exclusions or Exclusions(), lambda **_: compiled_spark, publish=publish
        )

    return one


def all_counts(store: SqliteStore) -> tuple[object, ...]:
    keys = [(tenant, slot) for tenant in ("shop", "mall") for slot in ("home", "cart")]
    tables = (store.counts, store.daily_counts, store.referrer_counts)
    return tuple(tuple(sorted(read(*key, 0, 2 * DAY)) for read in tables) for key in keys)


def corrupt(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.paths.database)) as connection, connection:
        connection.execute(
            """UPDATE counts SET clicks = clicks + 7 WHERE (tenant, slot, day, policy, city, banner) =
               (SELECT tenant, slot, day, policy, city, banner FROM counts WHERE served > 0 LIMIT 1)"""
        )
        connection.execute("DELETE FROM counts_by_referrer WHERE tenant = 'mall' AND slot = 'cart'")


def test_counts_that_are_right_have_no_difference(
    store: SqliteStore, recount: Recount, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recount() == 0
    assert "0 differences found" in capsys.readouterr().out


def test_rows_that_were_changed_by_hand_are_found_and_healed_while_counting_goes_on(
    store: SqliteStore, settings: Settings, recount: Recount, capsys: pytest.CaptureFixture[str]
) -> None:
    right = all_counts(store)
    corrupt(settings)
    assert recount() == 1
    said = capsys.readouterr().out
    assert "counted" in said and "the events say" in said
    assert recount(publish=True) == 0
    assert all_counts(store) == right
    assert recount() == 0


def test_a_day_and_a_half_through_the_door_is_recounted_and_healed(settings: Settings, recount: Recount) -> None:
    shoppers = Shoppers(settings.paths.data, Embedded(settings.paths.data), MANY_EVENTS)
    try:
        shoppers.visit(MANY_EVENTS)
        assert shoppers.repeated > MANY_EVENTS / 100
        assert shoppers.complaints() == []
        assert recount() == 0
        corrupt(settings)
        assert recount() == 1
        assert recount(publish=True) == 0
        shoppers.click_again(600)
        assert shoppers.complaints() == []
        assert recount() == 0
    finally:
        shoppers.close()


def test_workers_hear_of_what_was_corrected(store: SqliteStore, settings: Settings, recount: Recount) -> None:
    cursor = store.changes(0).cursor
    corrupt(settings)
    recount(publish=True)
    partitions = store.changes(cursor).partitions
    assert partitions and {tenant for tenant, _, _ in partitions} >= {"mall"}


def test_poison_is_taken_out_with_its_clicks_and_nothing_else(store: SqliteStore, recount: Recount) -> None:
    before = all_counts(store)
    poison = [served(5000 + number, customer=b"poison!!", banner="bad") for number in range(5)]
    store.deliver(Log(journal=9).records(*poison, *map(clicked, poison)))
    assert all_counts(store) != before
    assert recount(publish=True, exclusions=Exclusions(customers=[b"poison!!"])) == 0
    assert all_counts(store) == before


def test_days_from_before_the_archive_began_are_kept_and_listed(
    store: SqliteStore, recount: Recount, capsys: pytest.CaptureFixture[str]
) -> None:
    right = all_counts(store)
    store.prune(events_before=NOON_US + 1, claims_before=0, limit=5)
    assert recount(publish=True) == 0
    assert "days kept as counted: 2025-" in capsys.readouterr().out
    assert all_counts(store) == right


def test_it_says_what_is_wrong_with_the_exclusions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_jobs import recount as command

    monkeypatch.setattr(os, "environ", os.environ | {"BANNER_DATA_DIRECTORY": str(settings.paths.data)})
    assert command.main(["--exclude-from", "2026-06-13"]) == 2
    with pytest.raises(SystemExit) as wrong:
        command.main(["--exclude-customer", "anna"])
    assert wrong.value.code == 2

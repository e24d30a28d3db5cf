"""A tenant moves from the embedded store into Cassandra, and what is repeated afterwards still counts once."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bandit.model import IMPORTED_SHARD, CountRow, Epoch, ReferrerRow, Seed
from settings import load
from storage import copy
from storage.base import Store
from storage.cassandra import CassandraStore
from storage.cassandra_epochs import create_epoch, publish_epoch
from storage.cassandra_session import CassandraOptions, CassandraSession
from storage.journal import Journal
from storage.sqlite import SqliteStore
from tests.backends import environment
from tests.services_fixtures import empty
from tests.storage.cassandra_sink import CountingSink
from tests.storage.configured import BANNER, KEY, OPERATOR, SLOT, TENANT
from tests.storage.events import DAY, Log, clicked, random_events, served, totals

TENANTS = ("shop", "mall")
SLOTS = ("home", "cart")
SHARDS = "SELECT shard FROM counts WHERE tenant = 'shop' AND slot = 'home' AND day = ? AND epoch = 1"
NOW_US = time.time_ns() // 1000


@pytest.fixture
def session(keyspace: CassandraOptions) -> Iterator[CassandraSession]:
    opened = CassandraSession(keyspace)
    empty(opened)
    yield opened
    opened.close()


@pytest.fixture
def epoch(session: CassandraSession) -> int:
    create_epoch(session, Epoch(1, "banner-events", "topic-id", 1, NOW_US, {}, ""))
    publish_epoch(session, 1)
    return 1


@pytest.fixture
def source(tmp_path: Path) -> SqliteStore:
    """Two tenants with everything that can be there."""
    store = SqliteStore.open(tmp_path / "banner.db")
    for tenant in TENANTS:
        store.put_tenant(tenant, replace(TENANT, id=tenant))
        store.put_key(replace(KEY, id=f"key-of-{tenant}", tenant=tenant))
        for slot in SLOTS:
            store.put_slot(tenant, replace(SLOT, id=slot))
            for banner in ("new", "sale", "gone"):
                store.put_banner(tenant, replace(BANNER, slot=slot, id=banner))
            store.put_seeds(tenant, slot, "2025", [Seed("2025", "Pune", "sale", 20.0, 0.5)])
    store.put_key(OPERATOR)
    events = [event._replace(served_at=NOW_US, received_at=NOW_US) for event in random_events(random.Random(3), 300)]
    named = [served(n, served_at=NOW_US, city="_other", unrecognised_city="Atlantis") for n in range(900, 903)]
    drawn = [served(n, served_at=NOW_US, eligible="new sale") for n in range(910, 915)]
    shadow = [served(n, served_at=NOW_US, eligible="new sale", would_be_banner="new") for n in range(920, 923)]
    store.deliver(Log().records(*events, *named, *drawn, *shadow))
    for tenant in TENANTS:
        store.delete_banner(tenant, "home", "gone")
        store.delete_slot(tenant, "cart")
    return store


@pytest.fixture
def settings(keyspace: CassandraOptions, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "journal").mkdir()
    return {"BANNER_DATA_DIRECTORY": str(tmp_path), **environment(keyspace)}


@pytest.fixture
def target(keyspace: CassandraOptions, session: CassandraSession) -> Iterator[CassandraStore]:
    opened = CassandraStore(keyspace)
    yield opened
    opened.close()


def days(store: Store, tenant: str, slot: str) -> tuple[list[CountRow], list[ReferrerRow]]:
    place = (tenant, slot, DAY - 5, DAY + 5)
    return sorted(store.counts(*place)), sorted(store.referrer_counts(*place))


def test_a_copied_tenant_is_the_same_in_everything(
    settings: dict[str, str], source: SqliteStore, target: CassandraStore, epoch: int
) -> None:
    assert copy.main(["--all"], settings) == 0
    before, after = source.configuration(), target.configuration()
    assert after.tenants == before.tenants and after.slots == before.slots and after.banners == before.banners
    assert set(after.keys) == {"key-of-shop", "key-of-mall"}
    for tenant in TENANTS:
        assert target.unrecognised_cities(tenant) == source.unrecognised_cities(tenant)
        assert target.banner_was_used(tenant, "home", "gone") and target.slot_was_used(tenant, "cart")
        for slot in SLOTS:
            assert target.seeds(tenant, slot) == source.seeds(tenant, slot)
            assert days(target, tenant, slot) == days(source, tenant, slot) != ([], [])
        for city in ("Pune", "Delhi"):
            assert target.clicks(tenant, city, DAY) == source.clicks(tenant, city, DAY) != []
    drawn = ("shop", "home", DAY, DAY)
    assert sorted(target.sampled(*drawn)) == sorted(source.sampled(*drawn)) != []
    assert target.would_be(*drawn) == source.would_be(*drawn) != []


def test_only_the_named_tenant_is_copied(
    settings: dict[str, str], source: SqliteStore, target: CassandraStore, epoch: int
) -> None:
    assert copy.main(["shop"], settings) == 0
    assert set(target.configuration().tenants) == {"shop"}
    assert days(target, "mall", "home") == ([], [])


def test_imported_counts_stand_in_the_shard_that_no_log_owns(
    settings: dict[str, str], source: SqliteStore, session: CassandraSession, epoch: int
) -> None:
    copy.main(["shop"], settings)
    shards = session.run(SHARDS, (DAY,))
    assert {shard for (shard,) in shards} == {IMPORTED_SHARD}


def test_a_view_or_click_repeated_after_the_move_counts_once(
    settings: dict[str, str], source: SqliteStore, target: CassandraStore, session: CassandraSession, epoch: int
) -> None:
    seen, unseen = served(7001, served_at=NOW_US), served(7002, served_at=NOW_US)
    source.deliver(Log(99).records(seen, clicked(seen), unseen))
    assert copy.main(["shop"], settings) == 0
    before = totals(target)
    CountingSink(session, epoch).deliver(Log(100).records(clicked(seen), clicked(seen), clicked(unseen)))
    assert totals(target) == (before[0], before[1] + 1, before[2] + 1)
    assert totals(target) == tuple(one + more for one, more in zip(totals(source), (0, 1, 1), strict=True))


def test_an_interrupted_copy_can_be_done_again_also_after_the_source_went_on(
    settings: dict[str, str],
    source: SqliteStore,
    target: CassandraStore,
    epoch: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def dies(*_: object, **__: object) -> None:
        raise OSError("the plug was pulled")

    with monkeypatch.context() as broken:
        broken.setattr(CassandraStore, "put_tenant", dies)
        assert copy.main(["shop"], settings) == 1
    assert "the plug was pulled" in capsys.readouterr().err
    assert target.configuration().tenants == {}
    source.deliver(Log(98).records(served(8001, served_at=NOW_US)))
    assert copy.main(["shop"], settings) == 0
    assert days(target, "shop", "home") == days(source, "shop", "home")


def test_what_differs_after_the_copy_is_named_and_not_shown(
    settings: dict[str, str],
    source: SqliteStore,
    target: CassandraStore,
    session: CassandraSession,
    epoch: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody counts into the tenant meanwhile."""
    CountingSink(session, epoch).deliver(Log(97).records(served(1)))
    assert copy.main(["shop"], settings) == 1
    assert "shop differs after the copy, and is not shown: counts of home" in capsys.readouterr().err
    assert target.configuration().tenants == {}


def test_what_has_to_be_done_before_is_said(
    settings: dict[str, str],
    source: SqliteStore,
    session: CassandraSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*arguments: str, **changes: str) -> str:
        assert copy.main(arguments or ["shop"], {**settings, **changes}) == 1
        return capsys.readouterr().err

    assert "storage.backend must be cassandra" in refused(BANNER_STORAGE_BACKEND="sqlite")
    assert "there is no" in refused(BANNER_DATA_DIRECTORY=str(tmp_path / "elsewhere"))
    assert "no epoch is published" in refused()
    create_epoch(session, Epoch(1, "banner-events", "topic-id", 1, NOW_US, {}, ""))
    publish_epoch(session, 1)
    assert "there is no tenant nobody; there are: mall, shop" in refused("nobody")
    (tmp_path / "secrets.json").write_text(json.dumps({"token_keys": {"1": "aa"}, "customer_key": "bb"}))
    assert "must have the keys of" in refused()
    (tmp_path / "secrets.json").unlink()
    with load(settings).paths.alone():
        assert "is in use by the service" in refused()
    assert copy.main(["shop"], settings) == 0
    assert "in Cassandra already" in refused()


def test_a_journal_that_is_not_delivered_has_to_be(
    settings: dict[str, str], source: SqliteStore, epoch: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal.open(tmp_path / "journal")
    journal.append(0, lambda sequence: b"something")
    journal.close()
    assert copy.main(["shop"], settings) == 1
    assert "not counted yet" in capsys.readouterr().err


def test_wrong_arguments_are_refused() -> None:
    for wrong in ([], ["shop", "--all"]):
        with pytest.raises(SystemExit) as ended:
            copy.main(wrong, {})
        assert ended.value.code == 2

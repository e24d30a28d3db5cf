"""What a process knows: when it reads the store again, and when it leaves that."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bandit.model import CountRow, Role, Slot, Tenant
from serving.evidence import SlotEvidence
from serving.snapshot import Snapshot
from serving.snapshot_file import SnapshotFile
from storage.base import StoreUnavailable
from storage.sqlite import SqliteStore
from tests.installation import CITIES, Installation
from tests.service_process import wait_until
from tests.serving.asking import PUNE, add_slot, clicks, serve, trials, view


class WithoutCounts(SqliteStore):
    """A store whose counts cannot be read while it `fails`."""

    fails = False

    def counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        if self.fails:
            raise StoreUnavailable("the disk is away")
        return super().counts(tenant, slot, first_day, last_day)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, slot=Slot("home", half_life_days=None))
    yield installation
    installation.close()


def test_a_slot_is_read_when_somebody_asks_for_it(shop: Installation) -> None:
    add_slot(shop, "cart")
    shop.refresh()
    shop.refresh()
    assert trials(shop, slot="cart") == 0
    shop.refresh()
    assert trials(shop, slot="cart") == 100


def test_asking_for_a_slot_that_was_not_read_does_not_wait_for_the_next_round(shop: Installation) -> None:
    add_slot(shop, "cart")
    shop.refresh()
    shop.snapshot.start()  # which would read again in an hour
    assert view(shop, "cart").read_us, "the start reads everything"
    add_slot(shop, "page")
    shop.refresh()
    assert trials(shop, slot="page") == 0
    wait_until(lambda: trials(shop, slot="page") == 100, "read")


def test_a_slot_nobody_asks_for_is_left_alone_until_somebody_does(shop: Installation) -> None:
    serve(shop, 3)
    shop.sleep(seconds=61)
    shop.settle()
    assert trials(shop) == 0
    shop.refresh()
    assert trials(shop) == 3


def test_evidence_that_did_not_change_is_not_read_again(shop: Installation) -> None:
    serve(shop, 3)
    shop.settle()
    known = view(shop).evidence
    for _ in range(3):
        shop.sleep(seconds=2)
        serve(shop, 1)
        shop.refresh()
    assert view(shop).evidence is known


def test_a_store_that_fails_halfway_through_a_refresh_is_read_again(tmp_path: Path) -> None:
    shop = Installation(tmp_path)
    store = WithoutCounts(tmp_path / "banner.db")
    snapshot = Snapshot(store, SnapshotFile(tmp_path / "s"), clock=shop.clock_us, rng=np.random.default_rng(1))
    snapshot.refresh(preload=True)
    serve(shop, 3)
    shop.settle()
    store.fails = True
    with pytest.raises(StoreUnavailable):
        snapshot.refresh(preload=True)
    store.fails = False
    snapshot.refresh(preload=True)
    known = snapshot.view("shop", "home")
    assert known is not None and known.evidence.trials.sum() == 3
    store.close()
    shop.close()


def test_a_changed_configuration_acts_before_any_evidence_is_read(tmp_path: Path) -> None:
    shop = Installation(tmp_path)
    store = WithoutCounts(tmp_path / "banner.db")
    snapshot = Snapshot(store, SnapshotFile(tmp_path / "s"), clock=shop.clock_us, rng=np.random.default_rng(1))
    snapshot.refresh(preload=True)
    known = snapshot.current()
    shop.store.delete_key(next(key.id for key in known.keys.values() if key.role is Role.SERVER))
    shop.store.put_tenant("shop", replace(known.tenants["shop"], name="Shop"))
    store.fails = True
    with pytest.raises(StoreUnavailable):
        snapshot.refresh(preload=True)
    assert Role.SERVER not in {key.role for key in snapshot.current().keys.values()}
    slot = snapshot.view("shop", "home")
    assert slot is not None and slot.tenant.name == "Shop"
    store.close()
    shop.close()


def test_a_changed_slot_goes_on_with_what_is_known_of_cities_and_banners_it_still_has(shop: Installation) -> None:
    counted = {"pune": 3, "mumbai": 4, "new-delhi": 5}
    for city, times in counted.items():
        serve(shop, times, city)
    shop.settle()
    before = view(shop).evidence
    shop.sleep(minutes=5)  # nobody asks any more, so nothing is read again
    shop.store.delete_banner("shop", "home", "b2")
    shop.put_banner("b4")
    shop.store.put_tenant("shop", Tenant("shop", cities={"goa": (), "mumbai": (), "pune": ()}))
    shop.refresh()
    after = view(shop).evidence
    assert not view(shop).read_us

    def row(evidence: SlotEvidence, city: str) -> dict[str, float]:
        values = evidence.trials[evidence.cities[city]]
        return {banner: values[column] for banner, column in evidence.banners.items()}

    def kept(city: str) -> dict[str, float]:
        return {"b1": row(before, city)["b1"], "b3": row(before, city)["b3"], "b4": 0}

    assert {city: row(after, city) for city in after.cities} == {
        "goa": {"b1": 0, "b3": 0, "b4": 0},
        "mumbai": kept("mumbai"),
        "pune": kept("pune"),
        "_other": kept("new-delhi"),
        "_unknown": {"b1": 0, "b3": 0, "b4": 0},
    }
    assert trials(shop) == sum(kept("pune").values())
    shop.refresh()
    assert view(shop).read_us
    np.testing.assert_array_equal(view(shop).evidence.trials, after.trials)


def test_slots_that_the_budget_does_not_reach_lag_and_have_their_turn(shop: Installation, tmp_path: Path) -> None:
    add_slot(shop, "cart")
    file = SnapshotFile(tmp_path / "s")
    snapshot = Snapshot(shop.store, file, clock=shop.clock_us, rng=np.random.default_rng(1), cpu_share=0.0)
    snapshot.refresh(preload=True)
    for slot in ("home", "cart"):
        ask_for(snapshot, slot, shop)

    def lag_after_a_refresh() -> float:
        """Which reads one slot and no more."""
        snapshot.refresh()
        shop.sleep(seconds=5)
        return snapshot.evidence_lag_seconds()

    assert lag_after_a_refresh() == 0
    shop.store.put_tenant("shop", Tenant("shop", name="Shop", cities=CITIES))  # which concerns both
    assert lag_after_a_refresh() == 5
    shop.put_banner("b1", weight=2.0)
    shop.put_banner("b1", slot="cart", weight=2.0)
    assert [lag_after_a_refresh() for _ in range(3)] == [5, 0, 0]
    shop.store.put_tenant("shop", Tenant("shop", name="The shop", cities=CITIES))
    assert lag_after_a_refresh() == 5
    shop.sleep(minutes=1)
    assert snapshot.evidence_lag_seconds() == 0, "nobody asks for the slot that waits"


def test_slots_that_change_while_they_wait_keep_their_place(shop: Installation, tmp_path: Path) -> None:
    add_slot(shop, "cart")
    file = SnapshotFile(tmp_path / "s")
    snapshot = Snapshot(shop.store, file, clock=shop.clock_us, rng=np.random.default_rng(1), cpu_share=0.0)
    snapshot.refresh(preload=True)
    was_read = {"home": False, "cart": False}
    for number in range(4):
        for slot in was_read:
            ask_for(snapshot, slot, shop)
        shop.store.put_tenant("shop", Tenant("shop", name=str(number), cities=CITIES))
        snapshot.refresh()
        shop.sleep(seconds=5)
        for slot in was_read:
            known = snapshot.view("shop", slot)
            was_read[slot] |= known is not None and known.read_us > 0
    assert was_read == {"home": True, "cart": True}


def ask_for(snapshot: Snapshot, slot: str, shop: Installation) -> None:
    known = snapshot.view("shop", slot)
    assert known is not None
    snapshot.cell(known, PUNE, shop.clock_us())


def test_late_clicks_on_older_days_are_read_every_ten_minutes(shop: Installation) -> None:
    shop.store.put_slot("shop", Slot("home", half_life_days=None, attribution_window_seconds=7 * 86_400))
    shop.refresh()
    tokens = serve(shop, 2)
    shop.settle()
    shop.sleep(days=3)
    trials(shop)
    shop.click(tokens[0])
    shop.settle()
    assert (trials(shop), clicks(shop)) == (2, 1)
    shop.click(tokens[1])
    shop.settle()
    assert shop.totals() == (2, 2, 2)
    for _ in range(10):
        assert clicks(shop) == 1
        shop.sleep(seconds=59)
        shop.refresh()
    assert clicks(shop) == 1
    shop.sleep(seconds=10)
    shop.refresh()
    assert clicks(shop) == 2


def test_midnight_in_the_tenants_zone_begins_a_new_day(tmp_path: Path) -> None:
    shop = Installation(tmp_path, slot=Slot("home", half_life_days=1))
    shop.sleep(hours=11, minutes=59, seconds=30)  # 23:59:30 in Kolkata, 18:29:30 in UTC
    serve(shop, 4)
    shop.settle()
    assert trials(shop) == 4
    shop.sleep(seconds=29)
    shop.refresh()
    assert trials(shop) == 4
    shop.sleep(seconds=1)
    shop.refresh()
    assert trials(shop) == 2
    shop.close()


def test_days_that_pass_neither_lose_nor_repeat_evidence(shop: Installation) -> None:
    for day in range(6):
        for _ in range(2):
            serve(shop, 1)
            shop.settle()
        assert trials(shop) == 2 * (day + 1)
        shop.sleep(days=1)
        trials(shop)
        shop.refresh()
        assert trials(shop) == 2 * (day + 1)

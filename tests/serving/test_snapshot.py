"""What a process knows: when it reads the store again, and when it leaves that."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bandit.model import CountRow, Slot
from serving.snapshot import Snapshot
from serving.snapshot_file import SnapshotFile
from storage.base import StoreUnavailable
from storage.sqlite import SqliteStore
from tests.installation import Installation
from tests.service_process import wait_until
from tests.serving.asking import add_slot, clicks, serve, trials, view


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
    class FailsOnce(SqliteStore):
        fails = False

        def counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
            if self.fails:
                self.fails = False
                raise StoreUnavailable("the disk was away for a moment")
            return super().counts(tenant, slot, first_day, last_day)

    shop = Installation(tmp_path)
    store = FailsOnce(tmp_path / "banner.db")
    snapshot = Snapshot(store, SnapshotFile(tmp_path / "s"), clock=shop.clock_us, rng=np.random.default_rng(1))
    snapshot.refresh(preload=True)
    serve(shop, 3)
    shop.settle()
    store.fails = True
    with pytest.raises(StoreUnavailable):
        snapshot.refresh(preload=True)
    snapshot.refresh(preload=True)
    known = snapshot.view("shop", "home")
    assert known is not None and known.evidence.trials.sum() == 3
    store.close()
    shop.close()


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

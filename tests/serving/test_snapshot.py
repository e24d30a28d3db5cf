"""What a process knows: when it reads, when it computes, what it keeps, and what it starts from without a store."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from bandit.eligibility import Visit
from bandit.model import CountRow, Seed, Slot
from serving.cells import Cell, CellCache
from serving.snapshot import SlotView, Snapshot
from serving.snapshot_file import SavedSnapshot, SnapshotFile
from storage.base import StoreUnavailable
from storage.sqlite import SqliteStore
from tests.installation import Installation
from tests.service_process import wait_until

PUNE = Visit("pune", "web", None)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, slot=Slot("home", half_life_days=None))
    yield installation
    installation.close()


def trials(shop: Installation, **query: str) -> float:
    answer = shop.banner("read", city="pune", explain="1", **query).json
    return float(sum(row["trials"] for row in answer["banners"]))


def clicks(shop: Installation) -> float:
    return float(sum(row["clicks"] for row in shop.banner("read", city="pune", explain="1").json["banners"]))


def serve(shop: Installation, times: int, city: str = "pune") -> list[str]:
    """Impressions; their tokens."""
    return [shop.banner(city=city).json["token"] for _ in range(times)]


def cell(shop: Installation, visit: Visit = PUNE, slot: str = "home") -> Cell:
    """What a request of this kind would be decided by now."""
    return shop.snapshot.cell(view(shop, slot), visit, shop.clock_us())


def view(shop: Installation, slot: str = "home") -> SlotView:
    found = shop.snapshot.view("shop", slot)
    assert found is not None
    return found


def add_slot(shop: Installation, slot: str) -> None:
    shop.store.put_slot("shop", Slot(slot))
    for number in (1, 2):
        shop.put_banner(f"b{number}", slot=slot)
    shop.store.put_seeds("shop", slot, "h", [Seed("h", "pune", "b1", 100, 10)])


# --- when evidence is read ---


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


# --- when probabilities are computed ---


def test_a_cell_is_kept_until_its_evidence_moves(shop: Installation) -> None:
    serve(shop, 100)
    shop.settle()
    known = cell(shop)
    assert known.trials == 100
    for _ in range(3):
        shop.refresh()
        assert cell(shop) is known
    serve(shop, 2)  # 2 % are not more than 2 %
    shop.settle()
    assert cell(shop) is known
    serve(shop, 1)
    shop.settle()
    assert cell(shop) is not known
    assert cell(shop).trials == 103


def test_a_click_makes_a_cell_new_and_no_other(shop: Installation) -> None:
    tokens = serve(shop, 100)
    serve(shop, 100, "mumbai")
    shop.settle()
    pune, mumbai = cell(shop), cell(shop, visit_from("mumbai"))
    shop.click(tokens[0])
    shop.settle()
    assert cell(shop) is not pune
    assert cell(shop).clicks == 1
    assert cell(shop, visit_from("mumbai")) is mumbai


def visit_from(city: str) -> Visit:
    return PUNE._replace(city=city)


def test_a_changed_slot_keeps_its_evidence_and_computes_its_cells_anew(shop: Installation) -> None:
    add_slot(shop, "cart")
    shop.refresh()
    serve(shop, 5)
    trials(shop, slot="cart")
    shop.settle()
    home, cart = cell(shop), cell(shop, slot="cart")
    shop.put_banner("b1", weight=2.0)
    shop.refresh()
    assert trials(shop) == 5
    assert cell(shop) is not home
    assert cell(shop).banners[0].weight == 2.0
    assert cell(shop, slot="cart") is cart
    assert trials(shop, slot="cart") == 100


def test_a_removed_slot_and_a_removed_banner_are_gone(shop: Installation) -> None:
    add_slot(shop, "cart")
    shop.refresh()
    shop.store.delete_slot("shop", "cart")
    shop.store.delete_banner("shop", "home", "b1")
    shop.refresh()
    assert shop.banner(slot="cart").status == 404
    assert {banner.id for banner in cell(shop).banners} == {"b2", "b3"}


def test_a_schedule_that_begins_makes_the_cell_new(shop: Installation) -> None:
    shop.put_banner("b1", starts_at=shop.now + timedelta(seconds=10))
    shop.refresh()
    known = cell(shop)
    shop.sleep(seconds=9)
    assert cell(shop) is known
    shop.sleep(seconds=1)
    assert len(cell(shop).banners) == len(known.banners) + 1


def test_without_time_to_compute_requests_go_on_with_the_probabilities_there_are(tmp_path: Path) -> None:
    shop = Installation(tmp_path)
    snapshot = Snapshot(
        shop.store, SnapshotFile(tmp_path / "s"), clock=shop.clock_us, rng=np.random.default_rng(1), cpu_share=0.0
    )
    snapshot.refresh(preload=True)
    slot = snapshot.view("shop", "home")
    assert slot is not None
    known = snapshot.cell(slot, PUNE, shop.clock_us())
    for token in serve(shop, 100)[:50]:
        shop.click(token)
    shop.settle()
    snapshot.refresh()
    assert slot.evidence.trials.sum() == 100
    assert snapshot.cell(slot, PUNE, shop.clock_us()) is known
    assert snapshot.cell(slot, visit_from("mumbai"), shop.clock_us()).banners == known.banners
    shop.close()


def test_what_is_asked_for_most_is_computed_first(shop: Installation) -> None:
    known = view(shop)
    cache = CellCache(100, np.random.default_rng(1), 100)
    visits = [visit_from(city) for city in ("pune", "mumbai", "new-delhi")]
    cells = [cache.get(known, visit, 0) for visit in visits]
    for _ in range(5):
        cache.get(known, visits[1], 0)
    known.evidence.trials[:] = 50
    budget = iter([True, False, False])
    cache.refresh(lambda _: True, 1, lambda: next(budget))
    assert [cache.get(known, visit, 2) is old for visit, old in zip(visits, cells, strict=True)] == [True, False, True]


def test_the_cache_stays_within_its_size_and_forgets_what_was_not_used_for_longest(shop: Installation) -> None:
    known = view(shop)
    cache = CellCache(50, np.random.default_rng(1), 10)
    visits = [PUNE._replace(segment=str(number)) for number in range(120)]
    cells = [cache.get(known, visit, number) for number, visit in enumerate(visits)]
    # From the newest back: as soon as one is missing, all older ones are.
    kept = [cache.get(known, visit, 1000) is old for visit, old in zip(visits[:69:-1], cells[:69:-1], strict=True)]
    assert kept == sorted(kept, reverse=True)
    assert 40 <= sum(kept) <= 50


# --- the saved file ---


def saved(shop: Installation) -> SavedSnapshot:
    serve(shop, 5)
    shop.settle()
    shop.snapshot.stop()
    found = snapshot_file(shop).load()
    assert found is not None
    return found


def snapshot_file(shop: Installation) -> SnapshotFile:
    return SnapshotFile(path_of(shop))


def path_of(shop: Installation) -> Path:
    return shop.directory / "snapshot" / "snapshot.json"


def started_without_a_store(shop: Installation) -> Snapshot:
    """A process that finds no store, only what is on disk."""
    store = SqliteStore(shop.directory / "away.db")
    snapshot = Snapshot(store, snapshot_file(shop), clock=shop.clock_us, rng=np.random.default_rng(1))
    snapshot.start()
    snapshot.stop()
    return snapshot


def test_all_that_is_known_comes_back_from_the_file(shop: Installation) -> None:
    shop.put_banner("b1", ends_at=shop.now, cities=("pune",), weight=2.5)
    shop.refresh()
    loaded = saved(shop)
    assert loaded.configuration == shop.store.configuration()
    evidence = view(shop).evidence
    np.testing.assert_array_equal(loaded.evidence[("shop", "home")], [evidence.trials, evidence.clicks])
    assert evidence.trials.sum() == 5


def test_a_process_without_a_store_starts_from_the_file(shop: Installation) -> None:
    loaded = saved(shop)
    shop.sleep(seconds=100)
    snapshot = started_without_a_store(shop)
    assert snapshot.store_is_away
    assert snapshot.current() == loaded.configuration
    slot = snapshot.view("shop", "home")
    assert slot is not None
    assert snapshot.cell(slot, PUNE, shop.clock_us()).trials == 5


def test_without_store_and_file_there_is_nothing_to_serve_from(shop: Installation) -> None:
    snapshot = started_without_a_store(shop)
    assert snapshot.configuration is None
    with pytest.raises(StoreUnavailable):
        snapshot.current()
    assert not path_of(shop).exists(), "nothing known is nothing to save"


def test_only_its_owner_may_read_the_file(shop: Installation) -> None:
    saved(shop)
    assert path_of(shop).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in path_of(shop).parent.iterdir()] == ["snapshot.json"]


@pytest.mark.parametrize("damage", ["empty", "cut", "no JSON", "a list", "of another format"])
def test_a_file_that_cannot_be_used_is_ignored(shop: Installation, damage: str) -> None:
    saved(shop)
    text = path_of(shop).read_text()
    damaged = {
        "empty": "",
        "cut": text[: len(text) // 2],
        "no JSON": "\0" + text,
        "a list": "[1]",
        "of another format": text.replace('"format": 1', '"format": 99'),
    }
    path_of(shop).write_text(damaged[damage])
    snapshot = started_without_a_store(shop)
    assert snapshot.configuration is None


def test_saved_evidence_of_other_banners_than_the_slots_is_ignored(shop: Installation) -> None:
    saved(shop)
    document = json.loads(path_of(shop).read_text())
    document["evidence"][0][2] = [[[1.0]], [[0.0]]]
    path_of(shop).write_text(json.dumps(document))
    snapshot = started_without_a_store(shop)
    slot = snapshot.view("shop", "home")
    assert slot is not None
    assert snapshot.cell(slot, PUNE, shop.clock_us()).trials == 0

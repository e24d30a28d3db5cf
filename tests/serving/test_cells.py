"""Probabilities are computed when there is a reason to, and then the same for every request until the next."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from bandit.model import Slot
from serving.cells import CellCache
from serving.snapshot import Snapshot
from serving.snapshot_file import SnapshotFile
from tests.installation import Installation
from tests.serving.asking import PUNE, add_slot, cell, serve, teach, trials, view, visit_from


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, slot=Slot("home", half_life_days=None))
    yield installation
    installation.close()


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


def test_a_cell_is_new_once_the_slot_it_borrows_from_has_learned_more(shop: Installation) -> None:
    serve(shop, 100, "mumbai")
    shop.settle()
    known = cell(shop)
    serve(shop, 2, "mumbai")  # 2 % are not more than 2 %
    shop.settle()
    assert cell(shop) is known
    serve(shop, 1, "mumbai")
    shop.settle()
    assert cell(shop) is not known
    assert (cell(shop).trials, cell(shop).slot_trials) == (0, 103)


def test_evidence_that_did_not_change_is_not_fitted_again(shop: Installation) -> None:
    serve(shop, 10)
    shop.settle()
    posterior = view(shop).evidence.posterior
    add_slot(shop, "cart")  # every slot is read again, since its seeds may have changed
    shop.refresh()
    assert view(shop).evidence.posterior is posterior
    serve(shop, 1)
    shop.settle()
    assert view(shop).evidence.posterior is not posterior


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


def test_a_slot_changed_while_nobody_asks_for_it_has_not_forgotten_anything(shop: Installation) -> None:
    serve(shop, 5)
    shop.settle()
    shop.sleep(minutes=5)
    shop.put_banner("b1", weight=2.0)
    shop.refresh()
    assert trials(shop) == 5


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
    teach(known, {"pune": 50, "mumbai": 50, "new-delhi": 50})
    budget = iter([True, False])  # once it is used up, nobody asks again
    cache.refresh(lambda _: True, 1, lambda: next(budget))
    assert [cache.get(known, visit, 2) is old for visit, old in zip(visits, cells, strict=True)] == [True, False, True]


def test_the_cache_stays_within_its_size_and_forgets_what_was_not_used_for_longest(shop: Installation) -> None:
    known = view(shop)
    cache = CellCache(50, np.random.default_rng(1), 10)
    visits = [PUNE._replace(segment=str(number)) for number in range(120)]
    cells = [cache.get(known, visit, number) for number, visit in enumerate(visits)]
    # From the newest back: as soon as one is missing, all older ones are.
    kept = [cache.get(known, visit, 1000) is old for visit, old in zip(visits[::-1], cells[::-1], strict=True)]
    assert kept == sorted(kept, reverse=True)
    assert 40 <= sum(kept) <= 50


def test_computing_a_cell_anew_in_a_full_cache_drops_no_other(shop: Installation) -> None:
    known = view(shop)
    teach(known, {"pune": 5000})
    cache = CellCache(50, np.random.default_rng(1), 10)
    visits = [PUNE._replace(segment=str(number)) for number in range(49)] + [visit_from("mumbai")]
    cells = [cache.get(known, visit, 0) for visit in visits]
    teach(known, {"pune": 5000, "mumbai": 50})
    cache.refresh(lambda _: True, 1, lambda: True)
    kept = [cache.get(known, visit, 2) is old for visit, old in zip(visits, cells, strict=True)]
    assert kept == [True] * 49 + [False]

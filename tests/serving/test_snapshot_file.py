"""What a process starts from when it finds no store."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bandit.model import Slot
from serving.snapshot import Snapshot
from serving.snapshot_file import SavedSnapshot, SnapshotFile
from storage.base import StoreUnavailable
from storage.sqlite import SqliteStore
from tests.installation import Installation
from tests.serving.asking import PUNE, serve, view


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, slot=Slot("home", half_life_days=None))
    yield installation
    installation.close()


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
    np.testing.assert_array_equal(loaded.evidence[("shop", "home")], evidence.matrices())
    assert evidence.trials.sum() == 5


def test_a_process_without_a_store_starts_from_the_file(shop: Installation) -> None:
    loaded = saved(shop)
    shop.sleep(seconds=100)
    snapshot = started_without_a_store(shop)
    assert snapshot.store_is_away
    assert snapshot.age_seconds() == 100
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


def test_what_came_from_the_file_is_saved_again_while_it_was_not_read_since(shop: Installation) -> None:
    class ComesBack(SqliteStore):
        is_away = True

        def configuration_version(self) -> int:
            if self.is_away:
                raise StoreUnavailable("not yet")
            return super().configuration_version()

    saved(shop)
    store = ComesBack(shop.directory / "banner.db")
    snapshot = Snapshot(store, snapshot_file(shop), clock=shop.clock_us, rng=np.random.default_rng(1))
    snapshot.start()
    store.is_away = False
    shop.put_banner("b1", weight=2.0)
    shop.put_banner("b4")
    snapshot.refresh()
    snapshot.stop()
    store.close()
    slot = started_without_a_store(shop).view("shop", "home")
    assert slot is not None
    assert [banner.id for banner in slot.banners] == ["b1", "b2", "b3", "b4"]
    assert slot.evidence.trials.sum() == 5


def test_what_a_killed_process_left_half_written_is_removed(shop: Installation) -> None:
    saved(shop)
    left, being_written = (path_of(shop).with_name(f"snapshot.json.{pid}") for pid in (1, 2))
    for path in (left, being_written):
        path.write_text("{")
    written = path_of(shop).stat().st_mtime
    os.utime(left, (written - 7200, written - 7200))
    shop.snapshot.stop()
    assert sorted(path.name for path in path_of(shop).parent.iterdir()) == ["snapshot.json", being_written.name]


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
        "of another format": text.replace('"format":3', '"format":2'),
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

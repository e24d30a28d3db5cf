"""The demo tenant: made once, whatever interrupts it, and described so that it can be used at once."""

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bandit.model import Banner, Role, Seed, Slot
from commands import demo
from commands.demo_catalogue import OFFERS, SEEDED_SLOT, SLOTS, TENANT
from commands.demo_keys import NoDemoKeys, ensure_keys, read_keys
from commands.demo_pictures import draw
from serving.keys import find_key
from storage.sqlite import SqliteStore

URL = "http://127.0.0.1:8000"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SERVED_PICTURE = re.compile(r"/media/demo/[0-9a-f]{32}\.svg")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.open(tmp_path / "banner.db")
    yield made
    made.close()


def seeds(store: SqliteStore) -> dict[str, list[Seed]]:
    return {slot.id: store.seeds(TENANT.id, slot.id) for slot in SLOTS}


class InterruptedStore(SqliteStore):
    """Is interrupted at its twelfth banner."""

    def put_banner(self, tenant: str, banner: Banner, *, expected_version: int | None = None) -> None:
        if banner.id == OFFERS["category_side"][1].id:
            raise KeyboardInterrupt
        super().put_banner(tenant, banner, expected_version=expected_version)


def test_the_demo_tenant_has_two_slots_of_ten_banners_and_six_cities(store: SqliteStore, tmp_path: Path) -> None:
    assert demo.ensure_tenant(store, tmp_path / "media", URL)
    configuration = store.configuration()
    assert configuration.tenants == {"demo": TENANT}
    assert {key: len(banners) for key, banners in configuration.banners.items()} == {
        ("demo", "home_top"): 10,
        ("demo", "category_side"): 10,
    }
    assert len(TENANT.cities) == 6
    assert all(slot.holdout_share == 0.1 for slot in configuration.slots.values())


def test_every_banner_has_a_picture_of_its_own_size_on_the_disk(store: SqliteStore, tmp_path: Path) -> None:
    demo.ensure_tenant(store, tmp_path / "media", URL)
    banners = [one for slot in store.configuration().banners.values() for one in slot.values()]
    assert all(SERVED_PICTURE.fullmatch(banner.image_url) for banner in banners)
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "media").iterdir()}
    assert len(set(pictures.values())) == len(banners) == 20
    for banner in banners:
        picture = ElementTree.fromstring(pictures[Path(banner.image_url).name])
        assert (picture.get("width"), picture.get("height")) == (str(banner.width), str(banner.height))


def test_one_slot_starts_from_history_and_its_seeds_are_weak(store: SqliteStore, tmp_path: Path) -> None:
    demo.ensure_tenant(store, tmp_path / "media", URL)
    found = seeds(store)
    assert not found["category_side"]
    assert len(found[SEEDED_SLOT]) == 60
    assert len({seed.seed_id for seed in found[SEEDED_SLOT]}) == 1
    assert all(0 < seed.clicks < seed.trials <= 200 for seed in found[SEEDED_SLOT])


def test_a_second_run_leaves_alone_what_somebody_changed(store: SqliteStore, tmp_path: Path) -> None:
    demo.ensure_tenant(store, tmp_path / "media", URL)
    store.delete_banner("demo", "home_top", "gift-cards")
    before = store.configuration_version()
    assert not demo.ensure_tenant(store, tmp_path / "media", URL)
    assert store.configuration_version() == before


def test_a_run_that_serves_elsewhere_leads_the_banners_there_but_for_those_that_lead_to_other_pages(
    tmp_path: Path, store: SqliteStore
) -> None:
    assert demo.main([], environment(tmp_path, tmp_path)) == 0
    own = "https://shop.example/gifts"
    gifts = store.configuration().banners["demo", "home_top"]["gift-cards"]
    store.put_banner("demo", replace(gifts, landing_url=own, weight=2.0))
    first = next(banner for banner in store.configuration().banners["demo", "category_side"].values())
    store.put_banner("demo", replace(first, weight=3.0))
    for where, base in (
        ({"BANNER_SERVER_PORT": "8001"}, "http://127.0.0.1:8001"),
        ({"BANNER_SERVER_PUBLIC_URL": "https://b.example/x/"}, "https://b.example/x"),
    ):
        assert demo.main([], environment(tmp_path, tmp_path) | where) == 0
        banners = [one for slot in store.configuration().banners.values() for one in slot.values()]
        elsewhere = {one.id: one.landing_url for one in banners if one.landing_url != f"{base}/demo/offers/{one.id}"}
        assert elsewhere == {"gift-cards": own}
        assert {one.id: one.weight for one in banners if one.weight != 1} == {"gift-cards": 2.0, first.id: 3.0}


def test_after_an_interruption_nothing_shows_and_the_next_run_makes_all_of_it(tmp_path: Path) -> None:
    interrupted = InterruptedStore.open(tmp_path / "banner.db")
    assert isinstance(interrupted, InterruptedStore)
    with pytest.raises(KeyboardInterrupt):
        demo.ensure_tenant(interrupted, tmp_path / "media", URL)
    assert not interrupted.configuration().slots
    interrupted.close()
    whole = SqliteStore.open(tmp_path / "banner.db")
    demo.ensure_tenant(whole, tmp_path / "media", URL)
    undisturbed = SqliteStore.open(tmp_path / "other.db")
    demo.ensure_tenant(undisturbed, tmp_path / "other", URL)
    assert whole.configuration().banners == undisturbed.configuration().banners
    assert seeds(whole) == seeds(undisturbed)
    whole.close()
    undisturbed.close()


# -- keys ------------------------------------------------------------------------------------------------------------


def test_there_is_a_key_of_every_role_and_only_its_owner_can_read_the_file(store: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    demo.ensure_tenant(store, tmp_path / "media", URL)
    keys = ensure_keys(store, path, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    known = store.configuration().keys
    found = {role: find_key(text, known) for role, text in keys.items()}
    assert {role: key.role for role, key in found.items() if key} == {role: role for role in Role}
    assert {role: key.tenant for role, key in found.items() if key} == {
        role: None if role is Role.OPERATOR else "demo" for role in Role
    }


def test_a_second_run_gives_the_same_keys(store: SqliteStore, tmp_path: Path) -> None:
    demo.ensure_tenant(store, tmp_path / "media", URL)
    keys = ensure_keys(store, tmp_path / "demo.json", NOW)
    assert ensure_keys(store, tmp_path / "demo.json", NOW) == keys == read_keys(tmp_path / "demo.json")
    assert len(store.configuration().keys) == len(Role)


def test_a_key_that_was_removed_is_made_anew_and_the_others_stay(store: SqliteStore, tmp_path: Path) -> None:
    demo.ensure_tenant(store, tmp_path / "media", URL)
    keys = ensure_keys(store, tmp_path / "demo.json", NOW)
    removed = find_key(keys[Role.READ], store.configuration().keys)
    assert removed is not None
    store.delete_key(removed.id)
    again = ensure_keys(store, tmp_path / "demo.json", NOW)
    assert [role for role in Role if keys[role] != again[role]] == [Role.READ]
    assert find_key(again[Role.READ], store.configuration().keys) is not None


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"keys": {"emperor": "bk_1_2"}}', '{"keys": 3}'])
def test_a_lost_or_damaged_file_gets_new_keys_and_the_lost_ones_stop_working(
    store: SqliteStore, tmp_path: Path, content: str | None
) -> None:
    demo.ensure_tenant(store, tmp_path / "media", URL)
    path = tmp_path / "demo.json"
    lost = ensure_keys(store, path, NOW)
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(NoDemoKeys, match="make run"):
        read_keys(path)
    ensure_keys(store, path, NOW)
    known = store.configuration().keys
    assert len(known) == len(Role)
    assert not any(find_key(text, known) for text in lost.values())


# -- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.id)
def test_pictures_are_whole_xml_that_says_the_offer(slot: Slot) -> None:
    assert slot.width and slot.height
    for offer in OFFERS[slot.id]:
        picture = ElementTree.fromstring(draw(offer, slot.width, slot.height))
        assert picture.get("viewBox") == f"0 0 {slot.width} {slot.height}"
        words = " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))
        assert offer.headline in words
        assert offer.detail in words
        assert picture.findtext(f"{SVG}title") == f"{offer.headline}: {offer.detail}"


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.id)
def test_the_words_of_a_picture_stay_inside_it(slot: Slot) -> None:
    assert slot.width and slot.height
    for offer in OFFERS[slot.id]:
        for text in ElementTree.fromstring(draw(offer, slot.width, slot.height)).iter(f"{SVG}text"):
            x, y, size = (float(text.get(name, "nan")) for name in ("x", "y", "font-size"))
            widest = len(text.text or "") * size * 0.7
            left = x - widest / 2 if text.get("text-anchor") == "middle" else x
            assert left > 0
            assert left + widest < slot.width
            assert size < y < slot.height


# -- the command -----------------------------------------------------------------------------------------------------


def environment(tmp_path: Path, data: Path | None = None) -> dict[str, str]:
    (tmp_path / "config.ini").write_text("[server]\nport = 8123\n")
    return {"BANNER_CONFIG": str(tmp_path / "config.ini"), "BANNER_DATA_DIRECTORY": str(data or tmp_path / "data")}


def test_two_runs_print_the_same_keys_and_lines_to_paste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main([], environment(tmp_path)) == 0
    first = capsys.readouterr().out
    assert demo.main([], environment(tmp_path)) == 0
    assert capsys.readouterr().out == first.replace("is made", "is there")
    keys = json.loads((tmp_path / "data" / "demo.json").read_text())["keys"]
    assert all(key in first for key in keys.values())
    assert "http://127.0.0.1:8123/docs" in first


def test_wrong_settings_end_it_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main([], environment(tmp_path) | {"BANNER_SERVER_PORT": "0"}) == 2
    assert "server.port" in capsys.readouterr().err


def test_a_data_directory_that_cannot_be_made_ends_it_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("in the way")
    assert demo.main([], environment(tmp_path)) == 1
    assert str(tmp_path / "data") in capsys.readouterr().err

"""Banners over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.web.flask_side import LANDING_URL, PICTURE_URL, Side, banner, before_write
from tests.web.pictures import png

BANNERS = "/admin/slots/home/banners"


def test_a_banner_is_made_shown_changed_replaced_and_removed(side: Side) -> None:
    body = banner("new", cities=["pune"], starts_at="2026-03-01T00:00:00Z", weight=2)
    made = side.call("POST", BANNERS, json=body)
    assert made.status_code == 201 and made.headers["Location"] == f"{BANNERS}/new"
    assert made.json == {
        "id": "new",
        "image_url": PICTURE_URL,
        "landing_url": LANDING_URL,
        "alt": "",
        "width": None,
        "height": None,
        "weight": 2.0,
        "enabled": True,
        "starts_at": "2026-03-01T05:30:00+05:30",
        "ends_at": None,
        "cities": ["pune"],
        "excluded_cities": [],
        "platforms": [],
        "segments": [],
        "min_share": 0.0,
        "max_share": 1.0,
    }
    paused = side.call("PATCH", f"{BANNERS}/new", json={"enabled": False})
    assert paused.json == {**made.json, "enabled": False}
    replaced = side.call("PUT", f"{BANNERS}/new", json={"image_url": PICTURE_URL, "landing_url": LANDING_URL}).json
    assert (replaced["cities"], replaced["starts_at"], replaced["enabled"]) == ([], None, True)
    assert [each["id"] for each in side.get(BANNERS)["banners"]] == ["b1", "b2", "b3", "new"]
    assert side.call("DELETE", f"{BANNERS}/new").status_code == 204
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        side.refused(404, "banner", method, f"{BANNERS}/new", json=banner("new"))


def test_the_id_of_a_removed_banner_stays_taken(side: Side) -> None:
    side.call("DELETE", f"{BANNERS}/b1")
    assert "counts stay" in side.refused(409, "id", "POST", BANNERS, json=banner("b1"))
    side.refused(409, "id", "POST", BANNERS, json=banner("b2"))


def test_of_two_that_make_the_same_banner_at_once_one_is_refused(side: Side) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(side.call, "POST", BANNERS, json=banner("new")) for _ in range(4)]
        statuses = sorted(each.result().status_code for each in made)
    assert statuses == [201, 409, 409, 409]


def test_a_picture_that_arrives_during_a_pause_does_not_end_it(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = {"enabled": False}
    before_write(side, monkeypatch, "put_banner", lambda: side.call("PATCH", f"{BANNERS}/b1", json=pause))
    picture: dict[str, Any] = {"data": png(300, 250), "content_type": "image/png"}
    uploaded = side.call("PUT", f"{BANNERS}/b1/picture", **picture).json
    assert (uploaded["enabled"], uploaded["width"]) == (False, 300)
    assert side.get(f"{BANNERS}/b1") == uploaded


def test_floors_given_at_the_same_time_never_exceed_the_whole(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    floor = {"min_share": 0.6}
    before_write(side, monkeypatch, "put_banner", lambda: side.call("PATCH", f"{BANNERS}/b1", json=floor))
    side.refused(400, "min_share", "PATCH", f"{BANNERS}/b2", json=floor)


def test_an_unknown_slot_is_named(side: Side) -> None:
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/b1"), ("DELETE", "/b1")):
        side.refused(404, "slot", method, f"/admin/slots/away/banners{path}", json=banner("new"))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("landing_url", {"landing_url": "/relative"}),
        ("landing_url", {"landing_url": "javascript:alert(1)"}),
        ("landing_url", {"landing_url": "ftp://shop.example/"}),
        ("landing_url", {"landing_url": "https://"}),
        ("landing_url", {"landing_url": "https://me@shop.example/"}),
        ("landing_url", {"landing_url": "https://shop.example:port/"}),
        ("landing_url", {"landing_url": "https://shop.example/\r\nX: y"}),
        ("landing_url", {"landing_url": "https://shop.example/\n"}),
        ("landing_url", {"landing_url": "https://shop.example/caf\u00e9"}),
        ("landing_url", {"landing_url": "https://[::1"}),
        ("landing_url", {"landing_url": "https://shop.example/" + "x" * 2048}),
        ("landing_url", {"landing_url": None}),
        ("image_url", {"image_url": "data:image/png;base64,AA"}),
        ("image_url", {"image_url": "/elsewhere/a.png"}),
        ("image_url", {"image_url": "/media/other/a.png"}),
        ("image_url", {"image_url": "/media/shop/../other/a.png"}),
        ("image_url", {"image_url": ""}),
        ("alt", {"alt": "x" * 201}),
        ("width", {"width": True}),
        ("weight", {"weight": 0}),
        ("weight", {"weight": "heavy"}),
        ("weight", {"weight": 10**400}),
        ("enabled", {"enabled": "yes"}),
        ("starts_at", {"starts_at": "2026-03-01T00:00:00"}),
        ("starts_at", {"starts_at": "tomorrow"}),
        ("starts_at", {"starts_at": 1_772_000_000}),
        ("starts_at", {"starts_at": "0001-01-01T00:00:00+14:00"}),
        ("ends_at", {"starts_at": "2026-03-01T00:00:00Z", "ends_at": "2026-03-01T05:30:00+05:30"}),
        ("cities", {"cities": ["atlantis"]}),
        ("cities.0", {"cities": ["new\u0000delhi"]}),
        ("excluded_cities", {"excluded_cities": ["atlantis"]}),
        ("platforms", {"platforms": ["app"]}),
        ("segments", {"segments": ["vip"]}),
        ("segments", {"segments": ["gold"] * 33}),
        ("min_share", {"min_share": 1.1}),
        ("max_share", {"max_share": -0.1}),
        ("min_share", {"min_share": 0.6, "max_share": 0.5}),
        ("slot", {"slot": "away"}),
    ],
)
def test_a_wrong_banner_is_refused_by_field(side: Side, field: str, changes: dict[str, Any]) -> None:
    side.refused(400, field, "POST", BANNERS, json=banner("new", **changes))
    side.refused(400, field, "PATCH", f"{BANNERS}/b1", json=changes)
    assert side.get(BANNERS)["banners"][0]["landing_url"] == "https://shop.example/b1"
    assert len(side.get(BANNERS)["banners"]) == 3


def test_a_banner_waits_for_its_picture_paused(side: Side) -> None:
    made = side.call("POST", BANNERS, json={"id": "new", "landing_url": LANDING_URL, "enabled": False})
    assert made.status_code == 201 and made.json["image_url"] == ""
    side.refused(400, "image_url", "PATCH", f"{BANNERS}/new", json={"enabled": True})
    changes = {"enabled": True, "image_url": "/media/shop/a.png"}
    assert side.call("PATCH", f"{BANNERS}/new", json=changes).status_code == 200


def test_floors_of_a_slot_never_exceed_the_whole(side: Side) -> None:
    side.call("PATCH", f"{BANNERS}/b1", json={"min_share": 0.5})
    side.call("PATCH", f"{BANNERS}/b2", json={"min_share": 0.5})
    assert "0 at most" in side.refused(400, "min_share", "PATCH", f"{BANNERS}/b3", json={"min_share": 0.1})
    side.call("PATCH", f"{BANNERS}/b2", json={"enabled": False})
    assert side.call("PATCH", f"{BANNERS}/b3", json={"min_share": 0.1}).status_code == 200


def test_the_slots_default_and_pinned_banner_stay(side: Side) -> None:
    side.call("PATCH", "/admin/slots/home", json={"default_banner": "b1", "pinned_banner": "b2"})
    side.refused(409, "banner", "DELETE", f"{BANNERS}/b1")
    side.refused(409, "banner", "DELETE", f"{BANNERS}/b2")
    side.call("PATCH", "/admin/slots/home", json={"default_banner": None})
    assert side.call("DELETE", f"{BANNERS}/b1").status_code == 204


def test_a_slot_has_at_most_200_banners(side: Side) -> None:
    for number in range(4, 201):
        side.installation.put_banner(f"b{number}")
    side.refused(409, "slot", "POST", BANNERS, json=banner("one-too-many"))


def test_a_change_reaches_the_choice(side: Side) -> None:
    for paused in ("b1", "b2"):
        side.call("PATCH", f"{BANNERS}/{paused}", json={"enabled": False})
    side.installation.refresh()
    assert side.get("/banner?slot=home", "server")["banner"] == "b3"

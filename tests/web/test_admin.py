"""Tenants, keys and slots over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bandit.model import Role, Seed
from tests.web.flask_side import Side, before_write


def test_a_tenant_is_made_shown_changed_replaced_and_removed(side: Side) -> None:
    made = side.call("POST", "/admin/tenants", "operator", json={"id": "mart", "cities": {"pune": ["Poona"]}})
    assert made.status_code == 201 and made.headers["Location"] == "/admin/tenants/mart"
    assert made.json == {
        "id": "mart",
        "name": "",
        "time_zone": "Asia/Kolkata",
        "platforms": ["web"],
        "cities": {"pune": ["Poona"]},
        "segments": [],
        "origins": [],
    }
    assert side.call("GET", "/admin/tenants/mart", "operator").json == made.json
    changed = side.call("PATCH", "/admin/tenants/mart", "operator", json={"time_zone": "Europe/Paris"})
    assert changed.json == {**made.json, "time_zone": "Europe/Paris"}
    assert side.call("PUT", "/admin/tenants/mart", "operator", json={"name": "Shop"}).json["cities"] == {}
    assert side.call("DELETE", "/admin/tenants/mart", "operator").status_code == 204
    side.refused(404, "tenant", "GET", "/admin/tenants/mart", "operator")


def test_what_was_shown_can_be_sent_back(side: Side) -> None:
    for path in ("/admin/tenants/shop", "/admin/slots/home", "/admin/slots/home/banners/b1"):
        shown = side.call("GET", path).json
        assert side.call("PUT", path, json=shown).json == shown


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("id", {}),
        ("id", {"id": "with space"}),
        ("id", {"id": "new\n"}),
        ("id", {"id": "nul\0"}),
        ("id", {"id": "x" * 33}),
        ("id", {"id": "_other"}),
        ("id", {"id": 7}),
        ("name", {"id": "t", "name": "two\nlines"}),
        ("time_zone", {"id": "t", "time_zone": "Asia/Nowhere"}),
        ("time_zone", {"id": "t", "time_zone": "../../etc/passwd"}),
        ("platforms", {"id": "t", "platforms": []}),
        ("platforms.0", {"id": "t", "platforms": ["a b"]}),
        ("cities.x y", {"id": "t", "cities": {"x y": []}}),
        ("cities.pune", {"id": "t", "cities": {"pune": "Poona"}}),
        ("cities.pune", {"id": "t", "cities": {"mumbai": ["Pune"], "pune": []}}),
        ("cities.b", {"id": "t", "cities": {"a": ["New Delhi"], "b": ["new-delhi"]}}),
        ("cities.a", {"id": "t", "cities": {"a": ["..."]}}),
        ("segments", {"id": "t", "segments": [f"s{number}" for number in range(33)]}),
        ("cities", {"id": "t", "cities": {f"c{number}": [] for number in range(1001)}}),
        ("origins.0", {"id": "t", "origins": ["https://shop.example/path"]}),
        ("origins.0", {"id": "t", "origins": ["shop.example"]}),
        ("origins.0", {"id": "t", "origins": ["https://shop.example:port"]}),
        ("colour", {"id": "t", "colour": "red"}),
    ],
)
def test_a_wrong_tenant_is_refused_by_field(side: Side, field: str, body: dict[str, Any]) -> None:
    side.refused(400, field, "POST", "/admin/tenants", "operator", json=body)


def test_a_name_of_two_lines_is_told_to_be_one(side: Side) -> None:
    told = side.refused(400, "name", "PATCH", "/admin/tenants/shop", "operator", json={"name": "a\nb"})
    assert told == "name must be one line, without control characters"


def test_origins_are_kept_as_browsers_send_them(side: Side) -> None:
    origins = ["https://Shop.Example:443", "http://localhost:3000", "http://[::1]:80"]
    made = side.call("POST", "/admin/tenants", "operator", json={"id": "t", "origins": origins})
    assert made.json["origins"] == ["https://shop.example", "http://localhost:3000", "http://[::1]"]


def test_a_second_tenant_or_slot_of_the_same_id_is_refused(side: Side) -> None:
    side.refused(409, "id", "POST", "/admin/tenants", "operator", json={"id": "shop"})
    side.refused(409, "id", "POST", "/admin/slots", json={"id": "home"})


def test_an_id_never_changes(side: Side) -> None:
    side.refused(400, "id", "PUT", "/admin/slots/home", json={"id": "away"})
    side.refused(400, "id", "PATCH", "/admin/tenants/shop", json={"id": "away"})


def test_a_tenant_keeps_what_its_banners_name(side: Side) -> None:
    side.call("PATCH", "/admin/slots/home/banners/b1", json={"cities": ["pune"], "segments": ["gold"]})
    message = side.refused(409, "cities", "PATCH", "/admin/tenants/shop", json={"cities": {"mumbai": []}})
    assert "banner b1 of slot home" in message
    side.refused(409, "segments", "PATCH", "/admin/tenants/shop", json={"segments": []})
    side.refused(400, "platforms", "PATCH", "/admin/tenants/shop", json={"platforms": ["app"]})
    side.call("PATCH", "/admin/slots/home/banners/b1", json={"cities": [], "segments": []})
    assert side.call("PATCH", "/admin/tenants/shop", json={"cities": {"mumbai": []}}).status_code == 200


def test_a_key_is_shown_once(side: Side) -> None:
    made = side.call("POST", "/admin/keys", json={"role": "server", "name": "back end"})
    assert made.status_code == 201 and made.headers["Cache-Control"] == "no-store"
    key = dict(made.json)
    text = key.pop("key")
    assert text.startswith(f"bk_{key['id']}_")
    assert key == {
        "id": key["id"],
        "tenant": "shop",
        "role": "server",
        "name": "back end",
        "created_at": "2026-02-01T01:30:00+05:30",
    }
    assert side.call("GET", f"/admin/keys/{key['id']}").json == key
    assert text.rpartition("_")[2] not in side.call("GET", "/admin/keys").text


def test_what_can_be_no_key_is_told_without_a_pattern(side: Side) -> None:
    assert side.refused(400, "key", "DELETE", "/admin/keys/nope").startswith("key must be the id of a key")


def test_operators_make_keys_of_any_tenant_and_their_own(side: Side) -> None:
    made = side.call("POST", "/admin/keys?tenant=other", "operator", json={"role": "admin"}).json
    assert made["tenant"] == "other"
    operator = side.call("POST", "/admin/keys", "operator", json={"role": "operator"}).json
    assert operator["tenant"] is None
    shown = side.call("GET", "/admin/keys", "operator").json["keys"]
    assert operator["id"] in [key["id"] for key in shown] and all(key["role"] == "operator" for key in shown)


@pytest.mark.parametrize(
    ("key", "path", "role"),
    [
        ("admin", "/admin/keys", "operator"),
        ("operator", "/admin/keys?tenant=shop", "operator"),
        ("operator", "/admin/keys", "read"),
        ("admin", "/admin/keys", "king"),
        ("admin", "/admin/keys", None),
    ],
)
def test_a_key_of_a_role_its_maker_cannot_give_is_refused(side: Side, key: str, path: str, role: str | None) -> None:
    side.refused(400, "role", "POST", path, key, json={"role": role})


def test_the_last_operator_key_stays(side: Side) -> None:
    identifier = side.keys["operator"].split("_")[1]
    side.refused(409, "key", "DELETE", f"/admin/keys/{identifier}", "operator")
    side.call("POST", "/admin/keys", "operator", json={"role": "operator"})
    assert side.call("DELETE", f"/admin/keys/{identifier}", "operator").status_code == 204


def test_a_slot_is_made_shown_changed_replaced_and_removed(side: Side) -> None:
    made = side.call("POST", "/admin/slots", json={"id": "top", "width": 300, "half_life_days": None})
    assert made.status_code == 201 and made.headers["Location"] == "/admin/slots/top"
    assert made.json["half_life_days"] is None and made.json["trial"] == "served"
    changed = side.call("PATCH", "/admin/slots/top", json={"trial": "viewed", "holdout_share": 0.1})
    assert changed.json == {**made.json, "trial": "viewed", "holdout_share": 0.1}
    assert side.store.configuration().slots["shop", "top"].trial.value == "viewed"
    replaced = side.call("PUT", "/admin/slots/top", json={"name": "Top"})
    assert (replaced.json["trial"], replaced.json["width"]) == ("served", None)
    assert {slot["id"] for slot in side.call("GET", "/admin/slots").json["slots"]} == {"home", "top"}
    assert side.call("DELETE", "/admin/slots/top").status_code == 204
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        side.refused(404, "slot", method, "/admin/slots/top", json={})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("width", 1.5),
        ("height", "tall"),
        ("enabled", 1),
        ("platforms", ["tv"]),
        ("trial", "clicked"),
        ("attribution_window_seconds", 0),
        ("attribution_window_seconds", 10**30),
        ("exploration_share", 1.01),
        ("new_banner_max_share", 0),
        ("new_banner_max_share", 1.5),
        ("new_banner_trials", -1),
        ("new_banner_trials", 2.5),
        ("holdout_share", -0.1),
        ("half_life_days", 0),
        ("lookback_days", 0),
        ("pinned_banner", "absent"),
        ("default_banner", "absent"),
    ],
)
def test_a_wrong_slot_is_refused_by_field(side: Side, field: str, value: Any) -> None:
    side.refused(400, field, "PATCH", "/admin/slots/home", json={field: value})
    side.refused(400, field, "POST", "/admin/slots", json={"id": "new", field: value})


def test_a_slot_keeps_the_platforms_its_banners_name(side: Side) -> None:
    side.call("PATCH", "/admin/slots/home", json={"platforms": ["web", "app"]})
    side.call("PATCH", "/admin/slots/home/banners/b1", json={"platforms": ["app"]})
    side.refused(409, "platforms", "PATCH", "/admin/slots/home", json={"platforms": ["web"]})


def test_a_removed_slot_takes_its_banners_and_seeds_along(side: Side) -> None:
    side.store.put_seeds("shop", "home", "h", [Seed("h", "pune", "b1", 10.0, 1.0)])
    side.call("DELETE", "/admin/slots/home")
    assert ("shop", "home") not in side.store.configuration().banners
    assert side.store.seeds("shop", "home") == []
    for part in ("banners", "seeds"):
        side.refused(404, "slot", "GET", f"/admin/slots/home/{part}")


def test_the_id_of_a_removed_slot_stays_taken(side: Side) -> None:
    side.call("DELETE", "/admin/slots/home")
    assert "counts stay" in side.refused(409, "id", "POST", "/admin/slots", json={"id": "home"})
    assert side.call("POST", "/admin/slots", "other", json={"id": "home"}).status_code == 201


def test_the_id_of_a_removed_tenant_stays_taken(side: Side) -> None:
    side.call("DELETE", "/admin/tenants/shop", "operator")
    message = side.refused(409, "id", "POST", "/admin/tenants", "operator", json={"id": "shop"})
    assert "counts stay" in message


@pytest.mark.parametrize("path", ["/admin/tenants", "/admin/slots?tenant=shop"])
def test_of_two_that_make_the_same_at_once_one_is_refused(side: Side, path: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(side.call, "POST", path, "operator", json={"id": "new"}) for _ in range(4)]
        statuses = sorted(each.result().status_code for each in made)
    assert statuses == [201, 409, 409, 409]


def test_changes_that_overlap_are_both_kept(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    before_write(side, monkeypatch, "put_tenant", lambda: side.call("PATCH", "/admin/slots/home", json={"width": 300}))
    assert side.call("PATCH", "/admin/tenants/shop", json={"name": "Shop"}).status_code == 200
    before_write(side, monkeypatch, "put_slot", lambda: side.call("PATCH", "/admin/slots/home", json={"height": 250}))
    changed = side.call("PATCH", "/admin/slots/home", json={"name": "Home"}).json
    assert (changed["name"], changed["width"], changed["height"]) == ("Home", 300, 250)


def test_a_change_that_always_meets_another_one_is_refused(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(side.store.configuration().tenants["other"], name="busy")
    put = side.store.put_tenant
    before_write(side, monkeypatch, "put_slot", lambda: put("other", other), times=100)
    assert "try again" in side.refused(409, None, "PATCH", "/admin/slots/home", json={"width": 1})
    assert side.get("/admin/slots/home")["width"] is None


def test_a_slot_removed_meanwhile_is_not_made_again_by_a_change(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    before_write(side, monkeypatch, "put_slot", lambda: side.call("DELETE", "/admin/slots/home"))
    side.refused(404, "slot", "PUT", "/admin/slots/home", json={})


def test_a_key_for_a_tenant_removed_meanwhile_is_not_made(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    before_write(side, monkeypatch, "put_key", lambda: side.store.delete_tenant("other"))
    side.refused(404, "tenant", "POST", "/admin/keys?tenant=other", "operator", json={"role": "read"})


def test_a_removed_tenant_takes_its_keys_along(side: Side) -> None:
    side.call("DELETE", "/admin/tenants/shop", "operator")
    side.refused(401, "key", "GET", "/admin/slots")
    assert all(key.role is Role.OPERATOR or key.tenant == "other" for key in side.store.configuration().keys.values())

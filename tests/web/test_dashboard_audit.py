"""Every change that comes over HTTP is in the audit log, and the log is shown."""

import logging
from typing import Any

import pytest

from storage.base import StoreUnavailable
from tests.web.browsing import Visitor, words
from tests.web.flask_side import Side, banner

CHANGES = "/dashboard/changes?csv=changes"


def logged(side: Side, key: str = "read") -> list[tuple[str, str, str]]:
    """(subject, action, detail), the latest first."""
    return [(row["subject"], row["action"], row["detail"]) for row in Visitor(side, key).download(CHANGES)]


def ok(answer: Any) -> Any:
    assert answer.status_code < 300, answer.text
    return answer.json


def test_what_is_made_changed_and_removed_is_logged_field_by_field(side: Side) -> None:
    ok(side.call("POST", "/admin/slots", json={"id": "cart", "holdout_share": 0.1}))
    ok(side.call("PATCH", "/admin/slots/cart", json={"holdout_share": 0.2}))
    ok(side.call("POST", "/admin/slots/cart/banners", json=banner("sale")))
    ok(side.call("PATCH", "/admin/slots/cart/banners/sale", json={"enabled": False, "cities": ["pune"]}))
    ok(side.call("DELETE", "/admin/slots/cart/banners/sale"))
    ok(side.call("DELETE", "/admin/slots/cart"))
    found = logged(side)
    assert [each[:2] for each in found] == [
        ("slot cart", "removed"),
        ("banner cart/sale", "removed"),
        ("banner cart/sale", "changed"),
        ("banner cart/sale", "made"),
        ("slot cart", "changed"),
        ("slot cart", "made"),
    ]
    assert found[2][2] == "enabled: yes → no; cities: all → pune"
    assert found[4][2] == "holdout_share: 0.1 → 0.2"


def test_a_line_says_what_no_rule_of_a_banner_means(side: Side) -> None:
    rules = {"cities": ["pune"], "excluded_cities": ["mumbai"], "platforms": ["web"], "segments": ["gold"]}
    ok(side.call("PATCH", "/admin/slots/home/banners/b1", json=rules))
    ok(side.call("PATCH", "/admin/slots/home/banners/b1", json={name: [] for name in rules}))
    ok(side.call("PATCH", "/admin/tenants/shop", json={"segments": []}))
    tenant, opened, _ = (detail for _, _, detail in logged(side))
    assert opened == "cities: pune → all; excluded_cities: mumbai → none; platforms: web → all; segments: gold → all"
    assert tenant == "segments: gold → none"


def test_a_line_names_the_cities_that_differ_with_their_other_names(side: Side) -> None:
    cities = side.get("/admin/tenants/shop")["cities"]
    cities["pune"], cities["nagpur"] = [*cities["pune"], "Punya"], []
    ok(side.call("PATCH", "/admin/tenants/shop", json={"cities": cities}))
    (found,) = logged(side)
    assert found[2] == "cities that differ: pune (Poona) → pune (Poona, Punya), nagpur"


def test_a_log_line_says_who_and_when_in_the_tenants_zone(side: Side) -> None:
    ok(side.call("PATCH", "/admin/tenants/shop", json={"name": "Shop"}))
    (row,) = Visitor(side, "read").download(CHANGES)
    assert row["role"] == "admin" and row["key"] in side.keys["admin"]
    assert row["at"].startswith("2026-02-01T01:30:00") and row["detail"] == "name: none → Shop"
    assert "1 Feb 2026, 01:30:00" in words(Visitor(side, "read").read("/dashboard/changes"))


def test_no_log_holds_the_secret_of_a_key(side: Side) -> None:
    made = ok(side.call("POST", "/admin/keys", json={"role": "read", "name": "reports"}))
    ok(side.call("DELETE", f"/admin/keys/{made['id']}"))
    found = logged(side)
    assert [each[:2] for each in found] == [(f"key {made['id']}", "removed"), (f"key {made['id']}", "made")]
    assert "hash" not in found[1][2] and made["key"].rpartition("_")[2] not in str(found)
    assert "role: read" in found[1][2]


def test_a_change_that_changes_nothing_or_is_refused_is_not_logged(side: Side) -> None:
    ok(side.call("PATCH", "/admin/slots/home", json={"enabled": True}))
    side.refused(400, "holdout_share", "PATCH", "/admin/slots/home", json={"holdout_share": 2})
    assert logged(side) == []
    assert "Nothing was changed yet" in words(Visitor(side, "read").read("/dashboard/changes"))


def test_tenants_and_operator_keys_are_in_the_log_of_the_operators(side: Side) -> None:
    ok(side.call("POST", "/admin/tenants", "operator", json={"id": "mall"}))
    ok(side.call("POST", "/admin/keys", "operator", json={"role": "operator"}))
    ok(side.call("DELETE", "/admin/tenants/mall", "operator"))
    rows = Visitor(side, "operator").download("/dashboard/tenants?csv=changes")
    assert [(row["subject"].split()[0], row["action"]) for row in rows] == [
        ("tenant", "removed"),
        ("key", "made"),
        ("tenant", "made"),
    ]
    assert logged(side) == []


def test_a_change_stays_when_the_log_cannot_be_written(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(side.store, "record_change", away)
    with caplog.at_level(logging.ERROR):
        ok(side.call("PATCH", "/admin/slots/home", json={"name": "Home"}))
    assert "not in the audit log" in caplog.text and "name: none → Home" in caplog.text

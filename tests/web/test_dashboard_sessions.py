"""Who may see which page of the dashboard, and for how long."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from bandit.model import Role
from serving.keys import new_key
from tests.web.browsing import Visitor, words
from tests.web.flask_side import NOW, Side
from tests.web.test_roles import example
from web.auth import Requirement, requirement_of
from web.sessions import LIFETIME

PUBLIC = {"dashboard.ask_for_key", "dashboard.sign_in", "dashboard.static_file"}
LEVELS = {Role.READ: 1, Role.ADMIN: 2, Role.OPERATOR: 3}


def pages(side: Side) -> list[tuple[str, str, Requirement]]:
    """(path, method, requirement) of every page that asks for a key."""
    found = []
    for rule in side.app.url_map.iter_rules():
        requirement = requirement_of(side.app, rule.endpoint)
        if rule.endpoint.startswith("dashboard.") and rule.endpoint not in PUBLIC:
            assert requirement is not None and requirement.by_session and requirement.access != "public", rule.rule
            method = "POST" if "POST" in (rule.methods or ()) else "GET"
            path = example(rule.rule.replace("<city>", "pune"))
            found.append((path, method, requirement))
    return found


def test_every_page_sends_a_stranger_to_sign_in(side: Side) -> None:
    for path, method, _ in pages(side):
        answer = Visitor(side).open(path, method=method)
        assert answer.status_code == 303 and "/dashboard/sign-in" in answer.headers["Location"], path


def test_the_bare_address_leads_to_the_dashboard(side: Side) -> None:
    answer = side.call("GET", "/", None)
    assert answer.status_code == 302 and answer.headers["Location"] == "/dashboard/"


@pytest.mark.parametrize("role", LEVELS)
def test_every_page_refuses_a_key_below_its_role(side: Side, role: Role) -> None:
    visitor = Visitor(side, role)
    for path, method, requirement in pages(side):
        if LEVELS[role] < LEVELS[Role(requirement.access)]:
            answer = visitor.open(path, method=method)
            assert answer.status_code == 403 and "role" in words(answer.text), path


def test_a_key_in_a_header_opens_no_page(side: Side) -> None:
    assert side.call("GET", "/dashboard/", "admin").status_code == 303


@pytest.mark.parametrize("role", ["serve", "server"])
def test_keys_of_storefronts_do_not_sign_in(side: Side, role: str) -> None:
    answer = Visitor(side).sign_in(role)
    assert answer.status_code == 403 and f"role {role}" in words(answer.text)


@pytest.mark.parametrize("text", ["", "bk_", "bk_000000000000_00", "junk"])
def test_a_wrong_key_is_said_to_be_wrong(side: Side, text: str) -> None:
    answer = Visitor(side).sign_in(text)
    assert answer.status_code == 401 and "not known" in words(answer.text)


def test_signing_in_leads_to_the_page_that_was_asked_for(side: Side) -> None:
    asked = Visitor(side).open("/dashboard/?days=30").headers["Location"]
    visitor = Visitor(side)
    following = re.search(r'name="next" value="([^"]*)"', visitor.read(asked))
    assert following is not None
    assert visitor.sign_in("read", following[1]).headers["Location"] == "/dashboard/?days=30"


@pytest.mark.parametrize(
    "following", ["https://evil.example/", "//evil.example", "/dashboard/\\evil", "/admin/keys", "/dashboard/\r\nX: y"]
)
def test_signing_in_leads_nowhere_else(side: Side, following: str) -> None:
    assert Visitor(side).sign_in("read", following).headers["Location"] == "/dashboard/"


def test_the_cookie_is_kept_from_scripts_and_other_sites(side: Side) -> None:
    cookie = Visitor(side).sign_in("admin").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/dashboard" in cookie
    assert side.keys["admin"] not in cookie


def test_a_cookie_that_was_changed_is_no_session(side: Side) -> None:
    visitor = Visitor(side, "read")
    cookie = visitor._client.get_cookie("banner_session", path="/dashboard")
    assert cookie is not None
    visitor._client.set_cookie("banner_session", "x" + cookie.value, path="/dashboard")
    assert visitor.open("/dashboard/").status_code == 303


def test_a_revoked_key_ends_its_session(side: Side) -> None:
    key, text = new_key("shop", Role.READ, NOW)
    side.store.put_key(key)
    visitor = Visitor(side)
    visitor.sign_in(text)
    visitor.read("/dashboard/")
    side.store.delete_key(key.id)
    assert visitor.open("/dashboard/").status_code == 303


def test_another_secret_under_the_same_id_ends_the_session(side: Side) -> None:
    visitor = Visitor(side, "read")
    old = next(key for key in side.store.configuration().keys.values() if key.role is Role.READ)
    other, _ = new_key("shop", Role.READ, NOW)
    side.store.delete_key(old.id)
    side.store.put_key(type(old)(old.id, old.tenant, old.role, other.secret_hash))
    assert visitor.open("/dashboard/").status_code == 303


def test_a_session_ends_by_itself(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor(side, "read")
    later = int((datetime.now(UTC) + LIFETIME + timedelta(minutes=1)).timestamp())
    monkeypatch.setattr("itsdangerous.timed.TimestampSigner.get_timestamp", lambda _: later)
    assert visitor.open("/dashboard/").status_code == 303


def test_signing_out_ends_the_session(side: Side) -> None:
    visitor = Visitor(side, "read")
    assert visitor.send("/dashboard/sign-out", form="/dashboard/").status_code == 303
    assert visitor.open("/dashboard/").status_code == 303


def test_a_form_without_its_proof_is_refused(side: Side) -> None:
    visitor = Visitor(side, "admin")
    proof = Visitor(side, "admin").read("/dashboard/")
    for _, method, _ in pages(side):
        assert method in ("GET", "POST")
    for path, method, _ in pages(side):
        if method == "POST":
            assert visitor.post(path).status_code in (403,), path
            assert visitor.post(path, form_proof=proof[-20:]).status_code == 403
    assert Visitor(side).post("/dashboard/sign-in", key=side.keys["admin"]).status_code == 403


def test_pages_allow_nothing_inline_and_nothing_of_others(side: Side) -> None:
    answer = Visitor(side, "admin").open("/dashboard/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script(?! src=)|\son\w+=|style=|https?://(?!www\.w3\.org)", answer.text)


def test_an_operator_chooses_a_tenant_and_stays_with_it(side: Side) -> None:
    visitor = Visitor(side, "operator")
    assert visitor.open("/dashboard/").headers["Location"] == "/dashboard/tenants"
    assert "/dashboard/?tenant=shop" in visitor.read("/dashboard/tenants")
    assert 'href="/dashboard/?tenant=shop"' in visitor.read("/dashboard/?tenant=shop")
    assert visitor.open("/dashboard/?tenant=nobody").status_code == 404


def test_no_key_sees_another_tenant(side: Side) -> None:
    visitor = Visitor(side, "other")
    for path, method, requirement in pages(side):
        if method == "GET" and requirement.access != Role.OPERATOR:
            page = visitor.open(path)
            # As a word, since a form's proof and a key's id may hold anything.
            assert not re.search(r"\bb1\b", page.text.replace(path, "")) and "mumbai" not in page.text, path
            assert visitor.open(f"{path}?tenant=shop").status_code == 403, path


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_a_page_that_cannot_be_shown_says_why(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor(side, "read")
    assert "days must be one of" in words(visitor.open("/dashboard/?days=5").text)
    assert "no table" in words(visitor.open("/dashboard/?csv=secrets").text)
    assert visitor.post("/dashboard/").status_code == 405
    side.store.close()
    (side.installation.directory / "banner.db").rename(side.installation.directory / "gone.db")
    answer = visitor.open("/dashboard/")
    assert answer.status_code == 503 and "served from memory" in words(answer.text)

"""Who may call what: every route declares a role, and no key reaches beyond its own."""

import pytest

from bandit.model import Role
from tests.web.flask_side import Side, banner
from web.application import HOT_CALL
from web.auth import requirement_of

PUBLIC = {
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/media/<tenant>/<name>",
    "/tag.js",
    "/banner",
    "/click",
    "/view",
    "/page",
    "/events",
    "/go/<rest:token>",
}
OPERATOR_ONLY = {("/admin/tenants", "GET"), ("/admin/tenants", "POST"), ("/admin/tenants/<tenant>", "DELETE")}


def routes(side: Side) -> list[tuple[str, str, str]]:
    """Those of the API; test_dashboard_sessions and test_demo_shop look at the pages."""
    rules = [rule for rule in side.app.url_map.iter_rules() if not rule.rule.startswith(("/dashboard", "/demo"))]
    return [(rule.rule, method, rule.endpoint) for rule in rules for method in sorted(rule.methods or ())]


def example(rule: str) -> str:
    values = {"tenant": "shop", "slot": "home", "banner": "b1", "key": "0" * 12, "job": "0" * 32, "seed": "s"}
    for name, value in values.items():
        rule = rule.replace(f"<{name}>", value)
    return rule


def test_every_route_declares_a_role(side: Side) -> None:
    for rule, method, endpoint in routes(side):
        requirement = requirement_of(side.app, endpoint)
        assert requirement is not None, rule
        if method == "HEAD":
            continue
        if requirement.access == "public":
            assert rule in PUBLIC
        elif rule.startswith("/reports/"):
            assert requirement.access is Role.READ
        elif (rule, method) in OPERATOR_ONLY:
            assert requirement.access is Role.OPERATOR
        else:
            assert rule.startswith("/admin/") and requirement.access is Role.ADMIN


def test_a_route_without_a_role_stops_the_start(side: Side) -> None:
    from web.auth import check_declarations

    side.app._got_first_request = False
    side.app.add_url_rule("/forgotten", "forgotten", lambda: "")
    with pytest.raises(AssertionError, match="/forgotten"):
        check_declarations(side.app)


@pytest.mark.parametrize("key", ["serve", "server", "read", "admin", "operator", None, "bk_000000000000_00", "junk"])
def test_every_route_refuses_every_key_below_its_role(side: Side, key: str | None) -> None:
    levels = {"read": 1, "admin": 2, "operator": 3}
    needed = {Role.READ: 1, Role.ADMIN: 2, Role.OPERATOR: 3}
    for rule, method, endpoint in routes(side):
        requirement = requirement_of(side.app, endpoint)
        if requirement is None or requirement.access == "public" or method == "HEAD":
            continue
        if key not in side.keys:
            side.refused(401, "key", method, example(rule), key)
        elif levels.get(str(key), 0) < needed[requirement.access]:
            side.refused(403, "key", method, example(rule), key)


def test_a_refused_call_says_how_to_send_a_key(side: Side) -> None:
    answer = side.call("GET", "/reports/lift?slot=home", None)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Bearer" in answer.json["error"]["message"]


def test_a_key_with_a_wrong_secret_is_not_known(side: Side) -> None:
    side.refused(401, "key", "GET", "/admin/slots", side.keys["admin"][:-1] + "x")


def test_a_key_in_the_query_is_no_key_here(side: Side) -> None:
    side.refused(401, "key", "GET", f"/admin/slots?key={side.keys['admin']}", None)


def test_no_key_reaches_another_tenant(side: Side) -> None:
    for rule, method, endpoint in routes(side):
        requirement = requirement_of(side.app, endpoint)
        if requirement is None or requirement.access in ("public", Role.OPERATOR) or method == "HEAD":
            continue
        path = example(rule)
        named = side.call(method, path if "<tenant>" in rule else f"{path}?tenant=shop", "other", json={})
        assert named.status_code in (400, 403), path
        unnamed = side.call(method, path, "other", json={})
        # Quoted, since a key's id may hold any two hexadecimal digits.
        assert '"b1"' not in unnamed.text and "mumbai" not in unnamed.text, path
    assert side.call("GET", "/admin/slots/home").status_code == 200


def test_what_another_tenant_has_looks_absent(side: Side) -> None:
    made = side.call("POST", "/admin/keys", json={"role": "read"}).json
    side.refused(404, "key", "GET", f"/admin/keys/{made['id']}", "other")
    side.refused(404, "key", "DELETE", f"/admin/keys/{made['id']}", "other")
    side.refused(404, "slot", "GET", "/admin/slots/home/banners", "other")
    side.refused(404, "slot", "GET", "/reports/banner?slot=home", "other")
    side.refused(404, "slot", "POST", "/admin/slots/home/banners", "other", json=banner("x"))


def test_an_operator_says_which_tenant(side: Side) -> None:
    side.refused(400, "tenant", "GET", "/admin/slots", "operator")
    side.refused(404, "tenant", "GET", "/admin/slots?tenant=nobody", "operator")
    side.refused(400, "tenant", "GET", "/admin/slots?tenant=no%0Abody", "operator")
    assert side.call("GET", "/admin/slots?tenant=shop", "operator").json["slots"][0]["id"] == "home"
    assert side.call("GET", "/reports/lift?tenant=shop&slot=home", "operator").status_code == 200


def test_an_admin_changes_its_own_tenant_only(side: Side) -> None:
    assert side.call("PATCH", "/admin/tenants/shop", json={"name": "Shop"}).json["name"] == "Shop"
    side.refused(403, "tenant", "PATCH", "/admin/tenants/other", json={"name": "mine"})
    side.refused(403, "key", "DELETE", "/admin/tenants/shop")


def test_a_removed_key_is_refused(side: Side) -> None:
    made = side.call("POST", "/admin/keys", json={"role": "read"}).json
    assert side.call("GET", "/reports/lift?slot=home", made["key"]).status_code == 200
    assert side.call("DELETE", f"/admin/keys/{made['id']}").status_code == 204
    side.refused(401, "key", "GET", "/reports/lift?slot=home", made["key"])


def test_the_hot_calls_are_one_view(side: Side) -> None:
    hot = {rule for rule, _, endpoint in routes(side) if endpoint == HOT_CALL}
    assert hot == {"/banner", "/click", "/view", "/page", "/events", "/go/<rest:token>"}

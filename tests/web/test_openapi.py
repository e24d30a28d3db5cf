"""The description of the calls, for machines and for people, and what machines ask besides."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.flask_side import Side
from web.hot_description import COMPETITOR, DECISION, EXPLANATION
from web.openapi import operations_of


@pytest.fixture
def document(side: Side) -> dict[str, Any]:
    """/openapi.json."""
    answer = side.call("GET", "/openapi.json", None)
    assert answer.status_code == 200 and isinstance(answer.json, dict)
    return answer.json


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def routes(side: Side) -> set[tuple[str, str]]:
    posts = {("post", path) for path in ("/click", "/view", "/page", "/events")}
    hot = {("get", "/banner"), ("get", "/go/{token}"), *posts}
    others = ("hot_call", "dashboard.")
    rules = [rule for rule in side.app.url_map.iter_rules() if not rule.endpoint.startswith(others)]
    methods = ((method.lower(), rule.rule) for rule in rules for method in (rule.methods or ()) if method != "HEAD")
    return hot | {(method, re.sub(r"<(\w+)>", r"{\1}", rule)) for method, rule in methods}


def test_every_call_is_described_and_nothing_else(side: Side, document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in operations_of(document)} == routes(side)


def test_every_call_has_a_name_of_its_own_a_summary_and_its_errors(document: dict[str, Any]) -> None:
    operations = list(operations_of(document))
    assert len({operation["operationId"] for _, _, operation in operations}) == len(operations)
    for _, path, operation in operations:
        assert operation["summary"], path
        if path.startswith(("/admin", "/reports")):
            assert {"400", "401", "403", "404", "503"} <= set(operation["responses"]), path
            assert operation["security"] == [{"key": []}]
        if "requestBody" in operation:
            assert "413" in operation["responses"] and operation["requestBody"]["required"], path


def test_every_error_has_the_one_shape(document: dict[str, Any]) -> None:
    for _, path, operation in operations_of(document):
        for status, answer in operation["responses"].items():
            if status >= "400" and path != "/readyz":
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, (path, status)


def test_every_reference_and_link_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    names = {operation["operationId"] for _, _, operation in operations_of(document)}
    answers = [answer for _, _, operation in operations_of(document) for answer in operation["responses"].values()]
    links = [link for answer in answers for link in answer.get("links", {}).values()]
    assert len(links) > 20 and all(link["operationId"] in names for link in links)


def test_bodies_and_parameters_take_nothing_unknown(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("TenantFull", "TenantPatch", "NewKey", "SlotBody", "BannerBody", "BannerPatch"):
        assert schemas[name]["additionalProperties"] is False
    assert "default" not in schemas["BannerPatch"]["properties"]["weight"]
    assert schemas["BannerBody"]["required"] == ["landing_url"]


def test_an_answer_is_described_by_the_fields_it_has(side: Side, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    made = side.call("POST", "/admin/keys", json={"role": "read"}).json
    shown = {
        "TenantFull": side.get("/admin/tenants/shop"),
        "SlotFull": side.get("/admin/slots/home"),
        "BannerFull": side.get("/admin/slots/home/banners/b1"),
        "KeyMade": made,
        "LiftReport": side.get("/reports/lift?slot=home"),
        "BannerReport": side.get("/reports/banner?slot=home"),
    }
    for name, value in shown.items():
        assert set(schemas[name]["properties"]) == set(value), name


def test_the_page_for_people_names_every_call_and_loads_nothing(side: Side, document: dict[str, Any]) -> None:
    page = side.call("GET", "/docs", None)
    assert page.status_code == 200 and page.mimetype == "text/html"
    for _, path, operation in operations_of(document):
        assert path in page.text and operation["summary"].split(";")[0] in page.text.replace("&#39;", "'")
    assert "<script" not in page.text and "<link" not in page.text and "src=" not in page.text


def shown(page: str, method: str, path: str) -> str:
    """What the page says of one call."""
    return page.partition(f'<span class="method">{method}</span>{path}</code>')[2].partition("<h3>")[0]


@pytest.mark.parametrize("path", ["/click", "/view", "/events"])
def test_the_page_names_each_field_of_a_body_once(side: Side, path: str) -> None:
    call = shown(side.call("GET", "/docs", None).text, "POST", path)
    field = "events[].token" if path == "/events" else "token"
    assert call.count(f"<code>{field}</code>") == 1


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("GET", "/banner", [*DECISION, *EXPLANATION, *(f"banners[].{name}" for name in COMPETITOR)]),
        ("POST", "/click", ["recorded"]),
        ("POST", "/page", ["results", "results[].status", *(f"results[].{name}" for name in DECISION)]),
        ("POST", "/events", ["results", "results[].status", "results[].error"]),
    ],
)
def test_the_page_names_the_fields_that_a_storefront_is_answered(
    side: Side, method: str, path: str, fields: list[str]
) -> None:
    call = shown(side.call("GET", "/docs", None).text, method, path)
    assert [name for name in fields if f"<code>{name}</code>" not in call] == []
    assert "[&#39;" not in call


def test_what_a_process_says_of_itself(side: Side) -> None:
    assert side.call("GET", "/livez", None).json == {"alive": True}
    ready = side.call("GET", "/readyz", None)
    assert ready.status_code == 503
    assert (ready.json["ready"], ready.json["state"]) == (False, "no drain")
    metrics = side.call("GET", "/metrics", None)
    assert metrics.status_code == 200 and metrics.content_type.startswith("text/plain; version=0.0.4")
    assert "banner_drain_alive 0.0" in metrics.text or "banner_drain_alive 0" in metrics.text


def test_the_page_says_what_a_value_may_be(side: Side) -> None:
    page = side.call("GET", "/docs", None).text
    assert "served | viewed" in page and "list of id" in page and "default 0.005" in page

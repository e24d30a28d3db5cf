"""The demo's shop without a browser: only where the demo tenant is, and nobody else starts its visitors."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from bandit.model import Banner, Role, Slot, Tenant
from serving.keys import new_key
from tests.service_process import wait_until
from tests.web.flask_side import Side
from web.demo import CUSTOMERS, EXTENSION, TENANT, DemoShop
from web.simulated_visitors import SimulatedVisitors

FOR_EVER = (sys.executable, "-c", "print('on the way', flush=True); import time; time.sleep(3600)")
PAGES = (("GET", "/demo"), ("GET", "/demo/state"), ("GET", "/demo/offers/b1"), ("PUT", "/demo/visitors"))


@pytest.fixture
def visitors(tmp_path: Path) -> Iterator[SimulatedVisitors]:
    """Who do nothing, for ever."""
    made = SimulatedVisitors(tmp_path / "visitors.lock", FOR_EVER)
    yield made
    made.stop()
    wait_until(lambda: not made.are_running(), "stopped")


@pytest.fixture
def demo(side: Side, visitors: SimulatedVisitors, tmp_path: Path) -> Side:
    """With the demo tenant, its slot home_top and its keys."""
    store, keys_path = side.store, tmp_path / "demo.json"
    store.put_tenant(TENANT, Tenant(TENANT, cities={"mumbai": ("Bombay",), "pune": ()}))
    store.put_slot(TENANT, Slot("home_top", width=1200, height=300))
    store.put_banner(
        TENANT, Banner("home_top", "b1", "/media/demo/b1.svg", "https://shop.example/b1", alt="<b>Sale</b>")
    )
    key, text = new_key(TENANT, Role.SERVE, datetime.now(UTC))
    store.put_key(key)
    keys_path.write_text(json.dumps({"keys": {"serve": text}}), "utf-8")
    side.app.extensions[EXTENSION] = DemoShop(keys_path, visitors)
    side.installation.refresh()
    return side


def call(side: Side, method: str, path: str, **how: Any) -> Any:
    return Client(side.app).open(path, method=method, **how)


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_without_the_demo_tenant_there_is_no_shop(side: Side, method: str, path: str) -> None:
    assert call(side, method, path, json={"running": True}).status_code == 404


@pytest.mark.parametrize("content", [None, "", "{}", '{"keys": 5}'])
def test_without_its_keys_there_is_no_shop(demo: Side, content: str | None) -> None:
    path = demo.app.extensions[EXTENSION].keys_path
    path.unlink() if content is None else path.write_text(content, "utf-8")
    assert call(demo, "GET", "/demo").status_code == 404


def test_the_shop_asks_for_the_city_and_customer_that_were_chosen(demo: Side) -> None:
    page = call(demo, "GET", f"/demo?city=pune&customer={CUSTOMERS[0]}")
    assert 'data-city="pune"' in page.text and f'data-customer-id="{CUSTOMERS[0]}"' in page.text
    assert "'unsafe" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("query", ["", "?city=Bombay&customer=", '?customer="><script>', "?city="])
def test_whatever_else_is_asked_for_is_somebody_new_from_the_first_city(demo: Side, query: str) -> None:
    page = call(demo, "GET", f"/demo{query}")
    assert 'data-city="mumbai"' in page.text and "data-customer-id" not in page.text


def test_a_banner_leads_to_a_page_of_its_own(demo: Side) -> None:
    page = call(demo, "GET", "/demo/offers/b1")
    assert page.status_code == 200 and "&lt;b&gt;Sale" in page.text
    assert call(demo, "GET", "/demo/offers/nothing").status_code == 404


def test_the_state_names_each_banner_with_its_chance(demo: Side) -> None:
    state = call(demo, "GET", "/demo/state?city=pune").json
    (row,) = state["slots"]["home_top"]
    assert (row["banner"], row["probability"], row["trials"]) == ("b1", 1, 0)
    assert (state["running"], state["told"]) == (False, "")


def test_the_page_of_a_stranger_cannot_start_the_visitors(demo: Side, visitors: SimulatedVisitors) -> None:
    """It would need a PUT or a type of its own, hence a permission that nobody gives."""
    assert call(demo, "OPTIONS", "/demo/visitors", headers={"Origin": "https://evil.example"}).status_code == 405
    assert call(demo, "POST", "/demo/visitors", data='{"running": true}', content_type="text/plain").status_code == 405
    assert call(demo, "PUT", "/demo/visitors", data='{"running": true}', content_type="text/plain").status_code == 415
    assert call(demo, "PUT", "/demo/visitors", json={"running": "yes"}).json["error"]["field"] == "running"
    assert not visitors.are_running()


def test_visitors_are_started_once_and_stopped(demo: Side, visitors: SimulatedVisitors) -> None:
    for _ in range(2):
        assert call(demo, "PUT", "/demo/visitors", json={"running": True}).json["running"]
    wait_until(lambda: visitors.told() == "on the way", "told")
    elsewhere = SimulatedVisitors(visitors._lock_path, ("false",))
    elsewhere.start()
    assert elsewhere.are_running() and elsewhere.told() == "on the way"
    elsewhere.stop()
    wait_until(lambda: not visitors.are_running(), "stopped")
    call(demo, "PUT", "/demo/visitors", json={"running": False})
    assert not call(demo, "GET", "/demo/state").json["running"]

"""A real browser, and the demo's shop in a running service."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from commands import demo
from tests.browser import storefront as storefronts
from tests.browser.storefront import Storefront
from tests.browser.visit import Visit
from tests.service_process import Service

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--no-sandbox",  # as root in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
"""A headless browser says so, and counts as a bot."""
TIMEOUT_MS = 60_000

OpenVisit = Callable[..., Visit]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "Chromium is not installed (Debian and Ubuntu: apt install chromium)"
        pytest.fail(reason) if "REQUIRE_SERVICES" in os.environ else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[OpenVisit]:
    """`visit(**context)` is a new visitor, whose window is 1280 x 720 pixels unless the context says otherwise."""
    contexts = []

    def open_visit(**options: Any) -> Visit:
        context = chromium.new_context(user_agent=CHROME, **{"viewport": {"width": 1280, "height": 720}, **options})
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        return Visit(context)

    yield open_visit
    for context in contexts:
        context.close()


class Shop:
    """The demo tenant of a running service."""

    def __init__(self, service: Service) -> None:
        assert demo.main([], service.environment) == 0
        self.service = service.start()
        self.url = service.url
        self.keys: dict[str, str] = json.loads((service.data / "demo.json").read_text("utf-8"))["keys"]

    def call(self, method: str, path: str, key: str, **how: Any) -> Any:
        """The JSON of an answer that must be a success."""
        answer = self.service.request(method, path, key=self.keys[key], **how)
        assert answer.status < 300, answer.body
        return answer.json

    def counted(self) -> dict[str, int]:
        """Served, viewed and clicks of both slots, as the reports have them."""
        rows = [row for slot in ("home_top", "category_side")
                for row in self.call("GET", f"/reports/banner?slot={slot}", "read")["rows"]]  # fmt: skip
        return {name: sum(row[name] for row in rows) for name in ("served", "viewed", "clicks")}

    def set_banner(self, slot: str, banner: str, **fields: Any) -> None:
        """Change a banner."""
        self.call("PATCH", f"/admin/slots/{slot}/banners/{banner}", "admin", json=fields)

    def banners(self, slot: str) -> list[str]:
        """All banners of a slot."""
        return [one["id"] for one in self.call("GET", f"/admin/slots/{slot}/banners", "admin")["banners"]]


@pytest.fixture(scope="module")
def shop(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One service for all tests of a file. Without a browser there is none."""
    directory: Path = tmp_path_factory.mktemp("shop")
    service = Service(directory)
    try:
        yield Shop(service)
    finally:
        service.close()


@pytest.fixture
def storefront(shop: Shop) -> Iterator[Storefront]:
    """A storefront whose pages may use the demo tenant's serve key."""
    with storefronts.running(shop.url) as server:
        shop.call("PATCH", "/admin/tenants/demo", "admin", json={"origins": [server.url]})
        yield server

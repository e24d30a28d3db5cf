"""One visitor's browser, and everything a page did in it."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request

WATCH = """
window.shifts = [];
const name = ({ node, previousRect: from, currentRect: to }) =>
  `${node && (node.outerHTML || node.textContent)} from ${JSON.stringify(from)} to ${JSON.stringify(to)}`;
new PerformanceObserver((list) => {
  for (const { value, sources, hadRecentInput } of list.getEntries()) {
    if (!hadRecentInput && value) window.shifts.push(`${value}: ${sources.map(name).join("; ")}`);
  }
}).observe({ type: "layout-shift", buffered: true });
document.addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective}`));
"""
POLL_MS = 50
SECONDS = 30.0


class Visit:
    """A page, its requests, and what its console complained of."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        context.add_init_script(WATCH)
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, url: str) -> None:
        """Go there; returns after the page's load event."""
        self.page.goto(url)

    def slot(self, name: str) -> Locator:
        """The places of a slot."""
        return self.page.locator(f"[data-banner-slot={name}]")

    def shown(self) -> list[str]:
        """The banners on the page, once every place has its answer."""
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('[data-banner-slot]')].every((place) => place.dataset.banner)"
        )
        places: list[str] = self.page.eval_on_selector_all(
            "[data-banner-slot]", "places => places.map((place) => place.dataset.banner)"
        )
        return places

    def sent(self, method: str, path: str) -> list[Request]:
        """The requests of this kind so far."""
        return [one for one in self.requests if one.method == method and urlsplit(one.url).path == path]

    def hosts(self) -> set[str]:
        """Whom the page has talked to."""
        return {urlsplit(one.url).netloc for one in self.requests}

    def shifts(self) -> list[str]:
        """What moved by itself so far, each by how much: a cumulative layout shift of 0 is an empty list."""
        shifts: list[str] = self.page.evaluate("() => window.shifts")
        return shifts

    def until(self, condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
        """Poll until it holds, while the browser goes on."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not {what} after {seconds} s"
            self.page.wait_for_timeout(POLL_MS)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

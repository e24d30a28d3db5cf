"""The demo's shop in a real browser: what a newcomer sees in the first minute."""

import json
import time
from itertools import chain, repeat

from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenVisit, Shop

COUNTED_SECONDS = 5.0
PAUSED_SECONDS = 5.0
LEARNED_SECONDS = 60.0


def test_the_shop_shows_two_banners_and_talks_to_nobody_else(shop: Shop, visit: OpenVisit) -> None:
    seen = visit()
    seen.open(f"{shop.url}/demo")
    first, second = seen.shown()
    assert first in shop.banners("home_top") and second in shop.banners("category_side")
    seen.until(lambda: seen.page.locator("figure li").count() == 20, "drawn")
    assert len(seen.sent("POST", "/page")) == 1
    assert seen.hosts() == {shop.url.removeprefix("http://")}
    assert seen.complaints == []
    assert seen.shifts() == []


def test_a_scroll_makes_exactly_one_view_of_each(shop: Shop, visit: OpenVisit) -> None:
    before = shop.counted()
    seen = visit()
    seen.open(f"{shop.url}/demo")
    seen.shown()
    seen.until(lambda: len(seen.sent("POST", "/view")) == 1, "seen at the top")
    seen.slot("category_side").scroll_into_view_if_needed()
    seen.until(lambda: len(seen.sent("POST", "/view")) == 2, "seen at the bottom")
    seen.until(lambda: shop.counted()["viewed"] >= before["viewed"] + 2, "counted")
    after = shop.counted()
    assert {name: after[name] - before[name] for name in after} == {"served": 2, "viewed": 2, "clicks": 0}
    assert seen.shifts() == []


def test_wide_shares_fit_on_their_lines(shop: Shop, visit: OpenVisit) -> None:
    def with_wide_shares(route: Route) -> None:
        answer = route.fetch()
        state = answer.json()
        for banners in state["slots"].values():
            for one, share in zip(banners, chain((1.0, 0.0999), repeat(0.01)), strict=False):
                one["probability"] = share
        route.fulfill(response=answer, json=state)

    seen = visit()
    seen.page.route("**/demo/state*", with_wide_shares)
    seen.open(f"{shop.url}/demo")
    seen.page.locator(".share", has_text="10.0 %").first.wait_for()
    rows = seen.page.evaluate("() => [...document.querySelectorAll('figure li')].map((row) => row.clientHeight)")
    assert len(rows) == 20 and len(set(rows)) == 1, rows


def test_a_click_leads_to_the_offer_and_counts_within_seconds(shop: Shop, visit: OpenVisit) -> None:
    before = shop.counted()["clicks"]
    seen = visit()
    seen.open(f"{shop.url}/demo")
    banner = seen.shown()[0]
    seen.until(lambda: seen.sent("POST", "/view"), "seen")
    seen.slot("home_top").locator("a").click()
    seen.page.wait_for_url(f"{shop.url}/demo/offers/{banner}")
    expect(seen.page.get_by_text("Your click is counted.")).to_be_visible()
    seen.until(lambda: shop.counted()["clicks"] == before + 1, "counted", COUNTED_SECONDS)
    assert seen.complaints == []


def test_the_chosen_city_and_customer_are_asked_for(shop: Shop, visit: OpenVisit) -> None:
    seen = visit()
    seen.open(f"{shop.url}/demo")
    seen.shown()
    seen.page.get_by_label("City").select_option("pune")
    seen.page.wait_for_url("**city=pune**")
    seen.page.get_by_label("Customer").select_option("asha")
    seen.page.wait_for_url("**customer=asha**")
    seen.shown()
    body = json.loads(seen.sent("POST", "/page")[-1].post_data or "")
    assert (body["city"], body["customer_id"]) == ("pune", "asha")


def test_a_paused_banner_disappears_from_the_shop_within_seconds(shop: Shop, visit: OpenVisit) -> None:
    paused, other, *rest = shop.banners("home_top")
    for banner in rest:
        shop.set_banner("home_top", banner, enabled=False)
    seen = visit()

    def next_visit() -> str:
        seen.open(f"{shop.url}/demo")
        return seen.shown()[0]

    seen.until(lambda: next_visit() == paused, "shown")
    shop.set_banner("home_top", paused, enabled=False)
    gone_at = time.monotonic() + PAUSED_SECONDS
    while time.monotonic() < gone_at:
        next_visit()
    assert {next_visit() for _ in range(10)} == {other}
    for banner in (paused, *rest):
        shop.set_banner("home_top", banner, enabled=True)


def test_simulated_visitors_teach_the_service_within_a_minute_and_can_be_stopped(shop: Shop, visit: OpenVisit) -> None:
    """Without them the ten bars of the slot that starts from nothing are alike; a leader has more than a quarter."""
    seen = visit()
    seen.open(f"{shop.url}/demo")
    bars = seen.page.locator("figure[data-slot=category_side] .track i")
    button = seen.page.locator("#visitors")
    expect(button).to_have_text("Simulate visitors")
    button.click()
    expect(button).to_have_text("Stop the visitors")

    def widest() -> float:
        widths: list[float] = bars.evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
        return max(widths, default=0)

    try:
        seen.until(lambda: widest() > 25, "a leader", LEARNED_SECONDS)
        seen.until(lambda: "impressions" in seen.page.locator("#told").inner_text(), "told how far it is")
    finally:
        button.click()
    expect(button).to_have_text("Simulate visitors")
    assert seen.complaints == []


def test_where_there_is_no_banner_the_shop_shows_its_own_after_a_while(shop: Shop, visit: OpenVisit) -> None:
    shop.call("PATCH", "/admin/slots/category_side", "admin", json={"enabled": False})
    seen = visit()

    def is_empty() -> bool:
        seen.open(f"{shop.url}/demo")
        seen.until(lambda: seen.slot("home_top").get_attribute("data-banner"), "answered")
        return seen.slot("category_side").get_attribute("data-banner") == ""

    seen.until(is_empty, "without a banner")
    expect(seen.page.get_by_text("Free returns, always.")).to_be_visible()
    assert seen.shifts() == []
    shop.call("PATCH", "/admin/slots/category_side", "admin", json={"enabled": True})

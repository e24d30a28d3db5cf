"""The storefront tag in a page of another origin, in a real browser."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenVisit, Shop
from tests.browser.storefront import Storefront
from tests.browser.visit import Visit
from tests.http_client import request
from web.tag import read_tag

TOP = '<div data-banner-slot="home_top"><p>our own picture</p></div>'
SIDE = '<div data-banner-slot="category_side"><p>our own offer</p></div>'
COUNTED_SECONDS = 5.0


def tag(shop: Shop, **options: str) -> str:
    data = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in options.items())
    return f'<script async src="{shop.url}/tag.js" data-key="{shop.keys["serve"]}"{data}></script>'


def open_page(shop: Shop, storefront: Storefront, visit: Visit, body: str, **options: str) -> Visit:
    """A visit of a page with this body, once the service knows that its origin may use the key."""
    visit.until(lambda: _may_ask(shop, storefront), "a known origin")
    visit.open(storefront.put(body, tag=tag(shop, **options)))
    return visit


def _may_ask(shop: Shop, storefront: Storefront) -> bool:
    answer = shop.service.request("OPTIONS", "/banner", headers={"Origin": storefront.url})
    return answer.headers["Access-Control-Allow-Origin"] == storefront.url


def body_of(visit: Visit) -> dict[str, Any]:
    (asked,) = visit.sent("POST", "/page")
    found: dict[str, Any] = json.loads(asked.post_data or "")
    return found


def test_two_slots_get_two_banners_with_one_simple_request(
    shop: Shop, storefront: Storefront, visit: OpenVisit
) -> None:
    seen = open_page(shop, storefront, visit(), TOP + SIDE, city="Poona", referrer_id="mail")
    first, second = seen.shown()
    assert first in shop.banners("home_top") and second in shop.banners("category_side")
    assert body_of(seen) == {"slots": ["home_top", "category_side"], "city": "Poona", "referrer_id": "mail"}
    link = seen.slot("home_top").locator("a")
    assert link.get_attribute("href") == f"{shop.url}/demo/offers/{first}"
    expect(link.locator("img")).to_have_attribute("loading", "lazy")
    assert b'call="/page",status="204"' not in shop.service.request("GET", "/metrics").body  # a preflight
    assert seen.context.cookies() == []
    assert seen.complaints == []
    asked = [urlsplit(one.url).path for one in seen.requests if one.url.startswith(shop.url)]
    assert [path for path in asked if not path.startswith("/media/")][:2] == ["/tag.js", "/page"]
    assert asked.count("/tag.js") == asked.count("/page") == 1


def test_one_slot_in_several_places_has_as_many_banners(shop: Shop, storefront: Storefront, visit: OpenVisit) -> None:
    seen = open_page(shop, storefront, visit(), TOP * 5)
    assert len(set(seen.shown())) == 5
    assert len(seen.sent("POST", "/page")) == 1


def test_each_banner_is_viewed_once_however_often_one_scrolls(
    shop: Shop, storefront: Storefront, visit: OpenVisit
) -> None:
    before = shop.counted()
    seen = open_page(shop, storefront, visit(), TOP + "<div class=far></div>" + SIDE)
    seen.shown()
    seen.until(lambda: len(seen.sent("POST", "/view")) == 1, "seen at the top")
    for _ in range(2):
        seen.slot("category_side").scroll_into_view_if_needed()
        seen.until(lambda: len(seen.sent("POST", "/view")) == 2, "seen at the bottom")
        seen.slot("home_top").scroll_into_view_if_needed()
        expect(seen.slot("home_top")).to_be_in_viewport()
    seen.until(lambda: shop.counted()["viewed"] >= before["viewed"] + 2, "counted")
    after = shop.counted()
    assert {name: after[name] - before[name] for name in after} == {"served": 2, "viewed": 2, "clicks": 0}
    assert len(seen.sent("POST", "/view")) == 2
    assert seen.shifts() == []
    assert seen.complaints == []


def test_a_banner_below_the_screen_is_not_viewed(shop: Shop, storefront: Storefront, visit: OpenVisit) -> None:
    """The other one, asked for at the same time, had its second on the screen."""
    seen = open_page(shop, storefront, visit(), TOP + "<div class=far></div>" + SIDE)
    seen.shown()
    seen.until(lambda: seen.sent("POST", "/view"), "seen at the top")
    assert len(seen.sent("POST", "/view")) == 1


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_a_click_leads_on_and_counts_once(shop: Shop, storefront: Storefront, visit: OpenVisit, way: str) -> None:
    before = shop.counted()["clicks"]
    seen = open_page(shop, storefront, visit(), TOP)
    (banner,) = seen.shown()
    seen.until(lambda: seen.sent("POST", "/view"), "seen")
    if way == "mouse":
        seen.slot("home_top").locator("img").click()
    else:
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")
    seen.page.wait_for_url(f"{shop.url}/demo/offers/{banner}")
    seen.until(lambda: shop.counted()["clicks"] == before + 1, "counted", COUNTED_SECONDS)


def test_the_middle_button_counts_and_leaves_the_page(shop: Shop, storefront: Storefront, visit: OpenVisit) -> None:
    before = shop.counted()["clicks"]
    seen = open_page(shop, storefront, visit(), TOP)
    seen.shown()
    seen.until(lambda: seen.sent("POST", "/view"), "seen")
    seen.slot("home_top").locator("img").click(button="middle")
    seen.until(lambda: shop.counted()["clicks"] == before + 1, "counted")
    assert seen.page.url == storefront.url + "/"


@pytest.mark.parametrize(
    ("wish", "is_named"),
    [
        ("", True),
        ("window.bannerConsent = () => true", True),
        ("window.bannerConsent = () => false", False),
        ("Object.defineProperty(Navigator.prototype, 'doNotTrack', { get: () => '1' })", False),
        ("Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })", False),
    ],
    ids=["nothing said", "consent", "no consent", "do not track", "global privacy control"],
)
def test_the_customer_is_named_only_with_consent(
    shop: Shop, storefront: Storefront, visit: OpenVisit, wish: str, is_named: bool
) -> None:
    visitor = visit()
    visitor.context.add_init_script(wish)
    seen = open_page(shop, storefront, visitor, TOP, customer_id="asha")
    seen.shown()
    assert body_of(seen).get("customer_id") == ("asha" if is_named else None)


def test_a_slot_that_was_added_later_is_filled_on_demand(shop: Shop, storefront: Storefront, visit: OpenVisit) -> None:
    seen = open_page(shop, storefront, visit(), TOP)
    (first,) = seen.shown()
    seen.page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", SIDE)
    seen.page.evaluate("() => showBanners()")
    assert seen.shown()[0] == first
    assert [json.loads(one.post_data or "")["slots"] for one in seen.sent("POST", "/page")] == [
        ["home_top"],
        ["category_side"],
    ]


def test_where_a_picture_is_broken_the_page_shows_its_own_and_nobody_viewed_anything(
    shop: Shop, storefront: Storefront, visit: OpenVisit
) -> None:
    visitor = visit()
    visitor.page.route("**/media/**", lambda route: route.abort())
    seen = open_page(shop, storefront, visitor, TOP)
    expect(seen.page.get_by_text("our own picture")).to_be_visible()
    assert seen.sent("POST", "/view") == []


@pytest.mark.parametrize(
    ("body", "key", "said"),
    [
        ('<div data-banner-slot="nowhere"><p>our own picture</p></div>', None, "banner slot nowhere: no slot"),
        (TOP, "bk_000000000000_00", "this key is not one of ours"),
    ],
    ids=["slot", "key"],
)
def test_a_mistake_is_named_in_the_console_and_the_page_shows_its_own(
    shop: Shop, storefront: Storefront, visit: OpenVisit, body: str, key: str | None, said: str
) -> None:
    seen = open_page(shop, storefront, visit(), body, **({} if key is None else {"key": key}))
    if key is not None:
        seen.open(storefront.put(body, tag=tag(shop).replace(shop.keys["serve"], key)))
    seen.until(lambda: any(said in one for one in seen.complaints), "complained of")
    expect(seen.page.get_by_text("our own picture")).to_be_visible()


def test_without_an_answer_in_time_the_page_shows_its_own(shop: Shop, storefront: Storefront, visit: OpenVisit) -> None:
    storefront.pages["/tag.js"] = read_tag().plain.decode()
    script = '<script async src="/tag.js" data-key="bk_x" data-deadline-ms="200"></script>'
    seen = visit()
    seen.open(storefront.put(TOP, tag=script))
    seen.until(lambda: seen.complaints, "given up")
    assert "aborted" in seen.complaints[0]
    expect(seen.page.get_by_text("our own picture")).to_be_visible()
    storefront.release.set()
    assert len(seen.sent("POST", "/page")) == 1


def test_with_the_service_stopped_the_page_shows_its_own_and_nothing_hangs(
    shop: Shop, storefront: Storefront, visit: OpenVisit
) -> None:
    address = storefront.put(TOP + SIDE, tag=tag(shop))
    shop.service.stop()
    try:
        seen = visit()
        seen.open(address)  # returns with the load event
        for text in ("our own picture", "our own offer"):
            expect(seen.page.get_by_text(text)).to_be_visible()
        assert seen.shifts() == []
    finally:
        shop.service.start()


def test_a_page_that_knows_the_tag_shows_its_own_when_the_service_stops(
    shop: Shop, storefront: Storefront, visit: OpenVisit
) -> None:
    seen = open_page(shop, storefront, visit(), TOP)
    seen.shown()
    shop.service.stop()
    try:
        seen.page.reload()
        expect(seen.page.get_by_text("our own picture")).to_be_visible()
        seen.until(lambda: any("banners:" in one for one in seen.complaints), "given up")
    finally:
        shop.service.start()


def test_a_server_rendered_page_works_without_any_script(shop: Shop, storefront: Storefront, visit: OpenVisit) -> None:
    """/go/<token> in <noscript>, as the README shows."""
    before = shop.counted()["clicks"]
    banner = shop.call("GET", "/banner?slot=home_top&city=Pune", "server")
    link = f'<a href="{banner["click_url"]}"><img src="{banner["image_url"]}" width=1200 height=300 alt=""></a>'
    seen = visit(java_script_enabled=False)
    seen.open(storefront.put(f'<div data-banner-slot="home_top"><noscript>{link}</noscript></div>', tag=tag(shop)))
    seen.page.locator("img").click()
    seen.page.wait_for_url(banner["landing_url"])
    seen.until(lambda: shop.counted()["clicks"] == before + 1, "counted")


def test_the_tag_may_be_kept_for_an_hour_and_comes_compressed(shop: Shop) -> None:
    answer = shop.service.request("GET", "/tag.js", headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert answer.headers["Cache-Control"] == "public, max-age=3600" and answer.body == read_tag().gzipped
    known = request(
        shop.service.host, shop.service.port, "GET", "/tag.js", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (known.status, known.body) == (304, b"")

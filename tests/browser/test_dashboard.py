"""The dashboard in a real browser: no complaint, no stranger, nobody shut out, and numbers that move by themselves."""

import re
from collections.abc import Iterator

import pytest
from axe_core_python.sync_playwright import Axe

from tests.browser.conftest import OpenVisit, Shop
from tests.browser.visit import Visit

SLOT = "/dashboard/slots/home_top"
GRAVE = {"serious", "critical"}
PHONE = {"viewport": {"width": 375, "height": 740}, "color_scheme": "dark"}


def sign_in(visit: Visit, shop: Shop, role: str = "admin") -> Visit:
    visit.open(f"{shop.url}/dashboard/")
    visit.page.get_by_label("Key").fill(shop.keys[role])
    visit.page.keyboard.press("Enter")
    visit.page.get_by_role("heading", level=1).wait_for()
    return visit


def pages(shop: Shop) -> Iterator[str]:
    banner = shop.banners("home_top")[0]
    shown = shop.call("GET", "/banner?slot=home_top&city=pune", "server")
    yield from ("/dashboard/?days=30", SLOT, f"{SLOT}/cities/pune", f"{SLOT}/banners/{banner}", f"{SLOT}/seeds")
    yield from ("/dashboard/changes", "/dashboard/system", "/dashboard/keys", f"/dashboard/why?token={shown['token']}")


@pytest.mark.parametrize("how", [{}, PHONE], ids=["light", "phone in the dark"])
def test_no_page_shuts_anybody_out_complains_or_talks_to_strangers(
    shop: Shop, visit: OpenVisit, how: dict[str, object]
) -> None:
    visitor = visit(**how)
    visitor.open(f"{shop.url}/dashboard/sign-in")
    assert grave(visitor) == []
    sign_in(visitor, shop)
    for path in pages(shop):
        visitor.open(shop.url + path)
        assert grave(visitor) == [], path
        assert not visitor.page.evaluate("() => document.documentElement.scrollWidth > innerWidth"), path
    assert visitor.complaints == []
    assert visitor.hosts() == {shop.url.removeprefix("http://")}


def grave(visitor: Visit) -> list[str]:
    """What axe finds serious or critical."""
    found = Axe().run(visitor.page)["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in GRAVE]


def test_numbers_move_without_loading_the_page_again_or_losing_ones_place(shop: Shop, visit: OpenVisit) -> None:
    visitor = sign_in(visit(), shop, "read")
    visitor.open(shop.url + SLOT)
    visitor.page.evaluate("() => { window.mark = 1; document.querySelector('#city').focus(); }")
    before = impressions(visitor)
    for _ in range(3):
        shop.call("GET", "/banner?slot=home_top&city=pune", "server")
    visitor.until(lambda: impressions(visitor) == before + 3, "counted")
    assert visitor.page.evaluate("() => window.mark === 1 && document.activeElement.id") == "city"
    assert visitor.complaints == []


def impressions(visitor: Visit) -> int:
    found = re.search(r"[\d,]+", visitor.page.locator("#figures dd").first.inner_text())
    assert found is not None
    return int(found[0].replace(",", ""))


def test_a_banner_is_paused_with_the_keyboard_alone_after_a_look_at_the_preview(shop: Shop, visit: OpenVisit) -> None:
    banner = shop.banners("category_side")[0]
    visitor = sign_in(visit(), shop)
    visitor.open(f"{shop.url}/dashboard/slots/category_side/banners/{banner}")
    page = visitor.page
    page.get_by_label("Takes part").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Preview").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Nothing is saved yet").wait_for()
    assert not page.get_by_label("Takes part").is_checked()
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Saved").wait_for()
    found = shop.call("GET", f"/admin/slots/category_side/banners/{banner}", "admin")
    assert found["enabled"] is False
    assert visitor.complaints == []

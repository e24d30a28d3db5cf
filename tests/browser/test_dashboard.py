"""The dashboard in a real browser: no complaint, no stranger, nobody shut out, and numbers that move by themselves."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_core_python.sync_playwright import Axe

from tests.browser.conftest import OpenVisit, Shop
from tests.browser.visit import Visit
from web.dashboard_evidence import CITY_NAMES as NAMES

SLOT = "/dashboard/slots/home_top"
COUNTED_SECONDS = 5.0
GRAVE = {"serious", "critical"}
DESKTOP = {"viewport": {"width": 1160, "height": 740}}
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
    yield from ("/dashboard/slots/nowhere", "/demo", f"/demo/offers/{banner}")


@pytest.mark.parametrize("how", [DESKTOP, PHONE], ids=["light", "phone in the dark"])
def test_no_page_shuts_anybody_out_complains_or_talks_to_strangers(
    shop: Shop, visit: OpenVisit, how: dict[str, object]
) -> None:
    visitor = visit(**how)
    visitor.open(f"{shop.url}/dashboard/sign-in")
    assert grave(visitor) == []
    sign_in(visitor, shop)
    for path in pages(shop):
        visitor.open(shop.url + path)
        check(visitor, path)
    visitor.open(f"{shop.url}{SLOT}/banners/{shop.banners('home_top')[0]}")
    visitor.page.get_by_role("button", name="Preview").click()
    visitor.page.get_by_text("Nothing is saved yet").wait_for()
    check(visitor, "preview")
    # The browser itself reports the page that is not there.
    assert [one for one in visitor.complaints if "404" not in one] == []
    assert visitor.hosts() == {shop.url.removeprefix("http://")}


@pytest.mark.parametrize("how", [DESKTOP, PHONE], ids=["light", "phone in the dark"])
def test_nor_do_the_pages_of_an_operator(shop: Shop, visit: OpenVisit, how: dict[str, object]) -> None:
    second = f"second-{len(how)}"
    shop.call("POST", "/admin/tenants", "operator", json={"id": second, "name": "Another shop"})
    visitor = sign_in(visit(**how), shop, "operator")
    visitor.page.get_by_role("heading", name="Tenants").wait_for()
    assert visitor.page.get_by_role("region", name="Tenants").get_by_role("rowheader").count() >= 2
    check(visitor, "tenants")
    for path in (f"?tenant={second}", "?tenant=demo", "keys?tenant=demo"):
        visitor.open(f"{shop.url}/dashboard/{path}")
        check(visitor, path)
    assert visitor.complaints == []
    assert visitor.hosts() == {shop.url.removeprefix("http://")}


def check(visitor: Visit, path: str) -> None:
    assert grave(visitor) == [], path
    assert not visitor.page.evaluate("() => document.documentElement.scrollWidth > innerWidth"), path
    if visitor.page.evaluate("() => innerWidth") >= DESKTOP["viewport"]["width"]:
        cut = (
            "() => [...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).length"
        )
        assert visitor.page.evaluate(cut) == 0, f"{path}: a table is cut off"


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


def test_a_click_in_the_shop_is_on_the_dashboard_within_seconds(shop: Shop, visit: OpenVisit) -> None:
    merchandiser, customer = sign_in(visit(), shop, "read"), visit()
    merchandiser.open(shop.url + SLOT)
    before = clicks(merchandiser)
    customer.open(f"{shop.url}/demo")
    banner = customer.shown()[0]
    customer.until(lambda: customer.sent("POST", "/view"), "seen")
    customer.slot("home_top").locator("a").click()
    customer.page.wait_for_url(f"{shop.url}/demo/offers/{banner}")

    def is_counted() -> bool:
        merchandiser.open(shop.url + SLOT)
        return clicks(merchandiser) > before

    merchandiser.until(is_counted, "counted", COUNTED_SECONDS)
    assert clicks(merchandiser) == before + 1


def clicks(visitor: Visit) -> int:
    return int(visitor.page.locator("#figures dd").nth(1).inner_text().replace(",", ""))


def test_what_did_not_change_is_not_drawn_again(shop: Shop, visit: OpenVisit) -> None:
    visitor = sign_in(visit(), shop, "read")
    shop.service.settle()

    def looks_as_before() -> bool:
        before = visitor.page.content()
        visitor.open(shop.url + SLOT)
        return visitor.page.content() == before

    def stays() -> bool:
        loads = len(visitor.sent("GET", SLOT))
        visitor.page.evaluate("() => { window.parts = [...document.querySelectorAll('[data-live] > *')]; }")
        visitor.until(lambda: len(visitor.sent("GET", SLOT)) >= loads + 2, "looked again")
        return bool(
            visitor.page.evaluate("() => window.parts.length > 3 && window.parts.every((part) => part.isConnected)")
        )

    visitor.until(looks_as_before, "everything that was counted is known")
    assert stays() or stays()  # where the race stands is computed anew once a minute
    assert visitor.shifts() == []


def test_a_history_is_looked_at_applied_and_taken_back(shop: Shop, visit: OpenVisit, tmp_path: Path) -> None:
    first, second, *_ = shop.banners("category_side")
    history = tmp_path / "history.csv"
    lines = [
        f"{banner},pune,{int(number % every == 0)}"
        for number in range(200)
        for banner, every in ((first, 10), (second, 50))
    ]
    history.write_text("\n".join(["banner,city,click", *lines]))
    visitor = sign_in(visit(), shop)
    seeds = f"{shop.url}/dashboard/slots/category_side/seeds"

    def upload(act: str) -> list[list[str]]:
        visitor.open(seeds)
        visitor.page.get_by_label("History").set_input_files(history)
        visitor.page.get_by_label("Name", exact=True).fill("browser")
        visitor.page.get_by_role("button", name=act).click()
        visitor.page.get_by_text("Done.").wait_for()
        rows: list[list[str]] = visitor.page.eval_on_selector_all(
            "tbody tr", "rows => rows.map((row) => [...row.cells].map((cell) => cell.innerText))"
        )
        return rows

    promised = upload("Dry run")
    assert promised and grave(visitor) == []
    assert shop.call("GET", "/admin/slots/category_side/seeds", "admin")["seeds"] == []
    assert upload("Apply") == promised
    store = shop.service.open_store()
    stored = store.seeds("demo", "category_side")
    store.close()
    assert sorted((city, banner, after) for city, banner, _, after, *_ in promised) == sorted(
        (NAMES.get(seed.city, seed.city), seed.banner, f"{seed.trials:,.1f}") for seed in stored
    )
    visitor.open(seeds)
    visitor.page.get_by_text("Remove", exact=True).last.click()
    visitor.page.get_by_role("button", name="Yes, remove").click()
    visitor.page.get_by_text("This slot has no seeds").wait_for()
    assert shop.call("GET", "/admin/slots/category_side/seeds", "admin")["seeds"] == []
    assert visitor.complaints == []

"""Make the README's pictures of the dashboard and of the demo's shop from the service as it is: `make screenshots`.

    python -m tests.browser.screenshots [DIRECTORY]

Two weeks of visitors are written into a store of its own before the service starts, so that there is a history to see.
Needs Chromium. Exit codes: 0 done, 1 there is no Chromium.
"""

import itertools
import random
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from bandit.event import BannerEvent
from bandit.model import Policy
from bandit.zone import day_of
from commands import demo
from commands.demo_catalogue import HOLDOUT_SHARE, TENANT
from commands.demo_world import read_log, true_rates, world
from storage.sqlite import SqliteStore
from tests.browser.conftest import CHROME, NAMES, OPTIONS, Shop
from tests.browser.test_dashboard import sign_in
from tests.browser.visit import Visit
from tests.service_process import Service
from tests.storage.events import DAY, NOON_US, Log, clicked, served, viewed

PICTURES = Path(__file__).parent.parent.parent / "docs" / "pictures"
PAST_DAYS, VISITORS_A_DAY, SEED = 14, 1_500, 7
LEARNED_AFTER_DAYS = 5.0
VISITORS_SECONDS = 8.0
WIDTH, PHONE_WIDTH, HEIGHT = 1160, 390, 760


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    directory = Path(arguments[0]) if arguments else PICTURES
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        print("Chromium is not installed (Debian and Ubuntu: apt install chromium)", file=sys.stderr)
        return 1
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="banner-pictures-") as own, sync_playwright() as playwright:
        service = Service(Path(own))
        try:
            assert demo.main([], service.environment) == 0
            store = SqliteStore(service.store_path)
            store.deliver(Log().records(*history()))
            store.close()
            browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
            take_all(browser, Shop(service), directory)
            browser.close()
        finally:
            service.close()
    return 0


def history() -> Iterator[BannerEvent]:
    """Visitors of the days before today, more and more of whom see what is clicked most."""
    rng, rates = random.Random(SEED), world(true_rates(read_log()))
    shift = day_of(time.time_ns() // 1000, TENANT.time_zone) - PAST_DAYS - DAY
    for number, past in itertools.product(range(VISITORS_A_DAY), range(PAST_DAYS)):
        cell = rng.choice(list(rates))
        holdout = rng.random() < HOLDOUT_SHARE
        weights = [1.0 if holdout else rate ** (past / LEARNED_AFTER_DAYS) for rate in rates[cell].values()]
        (banner,) = rng.choices(list(rates[cell]), weights)
        shown = served(
            number + past * VISITORS_A_DAY,
            tenant=TENANT.id,
            slot=cell[0],
            city=cell[1],
            banner=banner,
            policy=Policy.HOLDOUT.value if holdout else Policy.LEARNED.value,
            day=DAY + shift + past,
            served_at=NOON_US + (shift + past) * 86_400_000_000,
        )
        yield shown
        if rng.random() < 0.8:
            yield viewed(shown)
        if rng.random() < rates[cell][banner]:
            yield clicked(shown)


def take_all(browser: Browser, shop: Shop, directory: Path) -> None:
    """Every picture."""
    visit = Visit(browser.new_context(user_agent=CHROME))
    visit.open(f"{shop.url}/demo?city=pune")
    visit.page.get_by_role("button", name="Simulate visitors").click()
    visit.page.wait_for_timeout(VISITORS_SECONDS * 1000)
    take(visit, f"{shop.url}/demo?city=pune", directory / "shop.png")
    visit.page.get_by_role("button", name="Stop the visitors").click()
    sign_in(visit, shop)
    take(visit, f"{shop.url}/dashboard/", directory / "overview.png", height=470)
    take(visit, f"{shop.url}/dashboard/slots/category_side?days=30&city=pune", directory / "slot.png", height=1960)
    phone = Visit(browser.new_context(user_agent=CHROME, color_scheme="dark"))
    sign_in(phone, shop)
    take(phone, f"{shop.url}/dashboard/slots/category_side?days=30", directory / "phone.png", width=PHONE_WIDTH)


def take(visit: Visit, url: str, path: Path, *, width: int = WIDTH, height: int = HEIGHT) -> None:
    """The top of a page, once what it waits for is there."""
    visit.page.set_viewport_size({"width": width, "height": height})
    visit.open(url)
    visit.page.wait_for_load_state("networkidle") if "/demo" not in url else visit.shown()
    visit.page.wait_for_timeout(1500)  # pictures and bars
    visit.page.screenshot(path=path)
    print(path, f"{path.stat().st_size / 1024:.0f} KiB", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

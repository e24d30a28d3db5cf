"""The overview: what it says of each slot, and what it warns of."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from bandit.model import Slot, Tenant
from tests.storage.events import clicked, deliver, served
from tests.web.browsing import Visitor, words
from tests.web.flask_side import NOW, Side


@pytest.fixture
def visited(side: Side) -> Side:
    """A slot that showed 40 banners, of which 10 were clicked, some of them in the holdout."""
    installation = side.installation
    side.store.put_slot("shop", Slot("home", name="Top of the page", holdout_share=0.5))
    installation.refresh()
    for number in range(40):
        token = installation.banner(city="pune", customer_id=f"c{number}").json["token"]
        installation.sleep(seconds=1)
        if number % 4 == 0:
            installation.click(token)
    installation.settle()
    return side


def test_the_overview_counts_what_the_reports_count(visited: Side) -> None:
    visitor = Visitor(visited, "read")
    (row,) = visitor.download("/dashboard/?csv=slots")
    assert (row["slot"], row["impressions"], row["clicks"], row["ctr"]) == ("home", "40", "10", "0.25")
    found = visited.get("/reports/lift?slot=home", "read")
    assert row["lift"] == str(found["lift"]) and row["lift_low"] == str(found["low"])
    text = words(visitor.read("/dashboard/"))
    assert "Top of the page" in text and "25.0 %" in text
    assert any(state in text for state in ("still exploring", "leads", "has won", "as good as")), text


def test_a_lift_beyond_the_scale_is_an_arrow_and_no_point(side: Side) -> None:
    learned, holdout = (
        [served(number + at, policy=policy, day=20_485) for number in range(20)]
        for at, policy in ((0, "learned"), (20, "holdout"))
    )
    deliver(side.installation.sink, *learned, *holdout, *map(clicked, learned))
    visitor = Visitor(side, "read")
    page = visitor.read("/dashboard/")
    assert float(visitor.download("/dashboard/?csv=slots")[0]["lift"]) > 2 and "from −100 % to +200 %" in words(page)
    assert re.search(r'<path class="point" d="[^"]+z"/>', page) and "<circle" not in page


def test_new_clicks_are_on_the_next_load(visited: Side) -> None:
    visitor = Visitor(visited, "read")
    visitor.read("/dashboard/")
    visited.installation.banner(city="pune")
    visited.installation.settle()
    assert visitor.download("/dashboard/?csv=slots")[0]["impressions"] == "41"


def test_a_page_without_time_to_read_says_what_it_has(visited: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor(visited, "read")
    monkeypatch.setattr("web.dashboard_overview.READING_SECONDS", 0)
    assert visitor.download("/dashboard/?csv=slots")[0]["impressions"] == ""
    monkeypatch.setattr("web.dashboard_overview.READING_SECONDS", 60)
    assert visitor.download("/dashboard/?csv=slots")[0]["impressions"] == "40"
    monkeypatch.setattr("web.dashboard_overview.READING_SECONDS", 0)
    assert visitor.download("/dashboard/?csv=slots")[0]["impressions"] == "40"


def test_a_tenant_without_slots_is_told_what_to_do_next(side: Side) -> None:
    assert "POST /admin/slots" in words(Visitor(side, "other").read("/dashboard/"))


def test_a_slot_with_nothing_to_show_is_an_alarm(side: Side) -> None:
    banners = side.store.configuration().banners["shop", "home"].values()
    for banner in banners:
        side.store.put_banner("shop", replace(banner, ends_at=NOW + timedelta(hours=3)))
    visitor = Visitor(side, "read")
    assert "all its banners end within a day" in words(visitor.read("/dashboard/"))
    for banner in banners:
        side.store.put_banner("shop", replace(banner, enabled=False))
    assert "home: no banner may be shown now" in words(visitor.read("/dashboard/"))
    side.store.put_slot("shop", Slot("home", default_banner="b1", enabled=False))
    text = words(visitor.read("/dashboard/"))
    assert "no banner may be shown" not in text and "switched off" in text


def test_a_name_that_a_spreadsheet_would_run_is_neutralised(side: Side) -> None:
    side.store.put_slot("shop", Slot("home", name="=1+1"))
    assert Visitor(side, "read").download("/dashboard/?csv=slots")[0]["name"] == "'=1+1"


def test_names_are_text_and_never_markup(side: Side) -> None:
    side.store.put_slot("shop", Slot("home", name="<script>alert(1)</script>"))
    side.store.put_tenant("shop", Tenant("shop", name='"><img src=x>'))
    page = Visitor(side, "read").read("/dashboard/")
    assert "<script>alert" not in page and "<img" not in page


def test_a_service_that_does_not_count_says_so(side: Side) -> None:
    assert "No drain is running" in words(Visitor(side, "read").read("/dashboard/"))

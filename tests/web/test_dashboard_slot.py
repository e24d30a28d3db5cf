"""The pages of a slot and of a city in it, and the explanation of a token."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bandit.model import Seed, Slot, Tenant
from serving.token import Token, sign
from tests.storage.events import deliver, served
from tests.web.browsing import Visitor, words
from tests.web.flask_side import Side

HOME = "/dashboard/slots/home"
TODAY = 20_485


@pytest.fixture
def visited(side: Side) -> Side:
    """A slot that showed 30 banners in Pune and 10 in Mumbai; every fifth was clicked."""
    for number in range(40):
        token = side.installation.banner(city="pune" if number < 30 else "Bombay").json["token"]
        side.installation.sleep(seconds=1)
        if number % 5 == 0:
            side.installation.click(token)
    side.installation.settle()
    return side


def test_the_table_of_banners_says_what_the_report_says(visited: Side) -> None:
    rows = {row["banner"]: row for row in Visitor(visited, "read").download(f"{HOME}?csv=banners")}
    report = visited.get("/reports/banner?slot=home", "read")["rows"]
    assert set(rows) == {"b1", "b2", "b3"} and len(report) == 3
    for found in report:
        row = rows[found["banner"]]
        assert [row["trials"], row["clicks"]] == [str(found["trials"]), str(found["clicks"])]
        assert float(row["ctr_low"]) == pytest.approx(found["ctr_low"])
    assert sum(float(row["share_now"]) for row in rows.values()) == pytest.approx(1)
    assert sum(float(row["p_best"]) for row in rows.values()) == pytest.approx(1)


def test_the_share_is_that_of_the_city_with_most_evidence_or_the_one_asked_for(visited: Side) -> None:
    visitor = Visitor(visited, "read")
    assert "Share now, pune" in visitor.read(HOME) and "Share now, mumbai" in visitor.read(f"{HOME}?city=mumbai")
    asked = visited.installation.call("GET", "/banner?slot=home&city=mumbai&explain=1", key="read").json["banners"]
    shown = visitor.download(f"{HOME}?city=mumbai&csv=banners")
    expected = {row["banner"]: row["probability"] for row in asked}
    assert {row["banner"]: float(row["share_now"]) for row in shown} == pytest.approx(expected)


def test_the_charts_are_drawn_with_a_title_each(visited: Side) -> None:
    page = Visitor(visited, "read").read(HOME)
    for title in (
        "Expected click rates in 5 cities",
        "Click rates in pune",
        "Share of impressions by day",
        "CTR by day",
    ):
        assert f"<title>{title}" in page, title
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


COLOURED = re.compile(r'<li class="(c\d)"><svg[^>]*><rect[^>]*/></svg>([^<]+)</li>')


def test_a_banner_has_the_same_colour_in_all_charts_also_when_another_is_removed(visited: Side) -> None:
    shown = Counter(row.banner for row in visited.installation.counts() for _ in range(row.served))
    visited.store.delete_banner("shop", "home", shown.most_common(1)[0][0])
    visited.installation.refresh()
    page = Visitor(visited, "read").read(HOME)
    curves, bands = COLOURED.findall(page)[:2], COLOURED.findall(page)[2:]
    assert len(bands) == 3 and set(curves) < set(bands) and len({colour for colour, _ in bands}) == 3
    for colour, banner in bands:
        assert re.search(rf'<rect class="area {colour}"[^>]*><title>{banner}, 2026-02-01', page)
    for colour, banner in curves:
        assert re.search(rf'<polyline class="curve {colour}"[^>]*><title>{banner}<', page)


@pytest.mark.parametrize(("banners", "together"), [(10, set()), (11, {"other banners"})])
def test_only_more_banners_than_can_be_drawn_are_drawn_together(side: Side, banners: int, together: set[str]) -> None:
    shown = [served(number, banner=f"b{number}", city="pune", day=TODAY) for number in range(banners)]
    deliver(side.installation.sink, *shown)
    found = [name for _, name in COLOURED.findall(Visitor(side, "read").read(HOME))[3:]]
    assert len(found) == 10 and set(found) - {one.banner for one in shown} == together


def test_a_day_alone_is_a_whole_dot_in_the_line_of_days(visited: Side) -> None:
    for days in ("1", "7"):
        page = Visitor(visited, "read").read(f"{HOME}?days={days}")
        dots = re.findall(r'<circle class="point" cx="([\d.]+)" cy="([\d.]+)" r="2.5"/>', page)
        assert len(dots) == 3 and all(2.5 <= float(x) <= 93.5 and 2.5 <= float(y) <= 23.5 for x, y in dots)


def test_cities_and_days_can_be_downloaded(visited: Side) -> None:
    visitor = Visitor(visited, "read")
    pairs = {(row["city"], row["banner"]): row for row in visitor.download(f"{HOME}?csv=cities")}
    assert len(pairs) == 5 * 3 and sum(float(row["trials"]) for row in pairs.values()) == pytest.approx(40)
    (day,) = visitor.download(f"{HOME}?csv=days")
    assert (day["day"], day["served"], day["clicks"]) == ("2026-02-01", "40", "8")


def test_pictures_of_others_are_linked_and_not_loaded(side: Side) -> None:
    banner = side.store.configuration().banners["shop", "home"]["b1"]
    side.store.put_banner("shop", replace(banner, image_url="https://cdn.example/a.png?a=1&b=2"))
    page = Visitor(side, "read").read(HOME)
    assert '<a href="https://cdn.example/a.png?a=1&amp;b=2" rel="noreferrer">' in page
    assert page.count("<img") == 2


def test_a_paused_and_a_removed_banner_say_so(visited: Side) -> None:
    banner = visited.store.configuration().banners["shop", "home"]["b1"]
    visited.store.put_banner("shop", replace(banner, enabled=False))
    visited.store.delete_banner("shop", "home", "b2")
    visited.installation.refresh()
    rows = {row["banner"]: row for row in Visitor(visited, "read").download(f"{HOME}?csv=banners")}
    assert (rows["b1"]["why_not"], rows["b2"]["why_not"], rows["b3"]["share_now"]) == ("paused", "removed", "1.0")


def test_a_slot_without_banners_or_cities_says_what_to_do(side: Side) -> None:
    side.store.put_tenant("other", Tenant("other"))
    side.store.put_slot("other", Slot("empty"))
    visitor = Visitor(side, "other")
    assert "just made" in words(visitor.open("/dashboard/slots/empty").text)
    side.installation.refresh()
    text = words(visitor.read("/dashboard/slots/empty"))
    assert "no banner yet" in text and "Nothing was shown" in text and "holdout_share" in text
    assert "no banner yet" in words(visitor.read("/dashboard/slots/empty/cities/_unknown"))


def test_unknown_slots_cities_and_days_are_named(side: Side) -> None:
    visitor = Visitor(side, "read")
    for path, message in (
        ("/dashboard/slots/away", "no slot away"),
        (f"{HOME}?city=atlantis", "no city atlantis"),
        (f"{HOME}/cities/atlantis", "no city atlantis"),
    ):
        answer = visitor.open(path)
        assert answer.status_code == 404 and message in words(answer.text), path


def test_a_city_shows_its_own_and_its_borrowed_evidence(visited: Side) -> None:
    visited.store.put_seeds("shop", "home", "s", [Seed("s", "mumbai", "b1", 100.0, 5.0)])
    visited.installation.refresh()
    visitor = Visitor(visited, "read")
    rows = {row["banner"]: row for row in visitor.download(f"{HOME}/cities/mumbai?csv=competitors")}
    assert float(rows["b1"]["trials"]) >= 100 and float(rows["b1"]["borrowed_trials"]) > 0
    assert float(rows["b1"]["low"]) < float(rows["b1"]["mean"]) < float(rows["b1"]["high"])
    text = words(visitor.read(f"{HOME}/cities/mumbai"))
    assert "Borrowed" in text and "by chance" in text
    assert "other places" in words(visitor.read(f"{HOME}/cities/_other"))


def test_what_could_still_be_gained_is_told_once_it_is_known(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.standings.KEPT_US", 0)
    visitor = Visitor(side, "read")
    assert "could still be gained" not in words(visitor.read(HOME))
    side.installation.banner(city="pune")
    side.installation.settle()
    assert "too early to say how much could still be gained" in words(visitor.read(HOME))
    for _ in range(150):
        shown = side.installation.banner(city="pune").json
        if shown["banner"] == "b2":
            side.installation.click(shown["token"], key="server")
    side.installation.settle()
    assert "at most 0 % could still be gained" in words(visitor.read(HOME))


def test_a_city_says_how_a_visitor_is_served(side: Side) -> None:
    visitor = Visitor(side, "read")

    def says(**settings: Any) -> str:
        side.store.put_slot("shop", Slot("home", **settings))
        side.installation.refresh()
        return words(visitor.read(f"{HOME}/cities/mumbai"))

    assert "shown a banner by chance, with the chances below." in says()
    assert "; 10.0 % of visitors get each banner alike." in says(holdout_share=0.1)
    assert "shown the pinned banner." in says(pinned_banner="b1")
    assert "switched off: a visitor here is shown nothing." in says(enabled=False, shadow=True, default_banner="b1")
    named = "shown the banner that the storefront names, and"
    assert f"{named} nothing where it names none." in says(shadow=True)
    assert f"{named} the default banner where it names none." in says(shadow=True, default_banner="b1")
    for banner in side.store.configuration().banners["shop", "home"].values():
        side.store.put_banner("shop", replace(banner, cities=("pune",), enabled=banner.id != "b2"))
    assert "shown the default banner, since none may compete." in says(default_banner="b1")
    nothing = "shown nothing, since none may compete and there is no default banner that takes part."
    assert nothing in says() and nothing in says(default_banner="b2")


def test_the_reserved_cities_are_themselves_beside_a_city_of_almost_their_name(side: Side) -> None:
    shop = side.store.configuration().tenants["shop"]
    side.store.put_tenant("shop", replace(shop, cities={"other": (), "unknown": ()}))
    trials = {"other": 10.0, "_other": 20.0, "unknown": 30.0, "_unknown": 40.0}
    side.store.put_seeds("shop", "home", "s", [Seed("s", city, "b1", count, 1.0) for city, count in trials.items()])
    side.installation.refresh()
    visitor = Visitor(side, "read")
    visitor.read(HOME)  # only a slot that is asked for is read again
    side.installation.refresh()
    for city, count in trials.items():
        rows = {row["banner"]: row for row in visitor.download(f"{HOME}/cities/{city}?csv=competitors")}
        assert float(rows["b1"]["trials"]) == pytest.approx(count), city
    # What a visitor's request names is a name as people write it, whatever it looks like.
    said = side.installation.call("GET", "/banner?slot=home&city=_other&explain=1", key="read").json["city"]
    assert said == side.installation.banner(city="_other").json["city"] == "other"


def test_the_likeliest_banner_comes_first_and_of_equals_the_one_expected_to_be_clicked_most(side: Side) -> None:
    clicks = {"b1": 1.0, "b2": 50.0, "b3": 100.0}
    side.store.put_seeds("shop", "home", "s", [Seed("s", "pune", name, 500.0, value) for name, value in clicks.items()])
    side.installation.refresh()
    visitor = Visitor(side, "read")
    rows = visitor.download(f"{HOME}/cities/pune?csv=competitors")
    assert [row["banner"] for row in rows] == ["b3", "b2", "b1"]
    side.store.put_slot("shop", Slot("home", pinned_banner="b2"))
    side.installation.refresh()
    rows = visitor.download(f"{HOME}/cities/pune?csv=competitors")
    assert [row["banner"] for row in rows] == ["b2", "b3", "b1"]


def test_seeds_move_no_claim_of_the_race(side: Side) -> None:
    side.store.put_seeds("shop", "home", "s", [Seed("s", "pune", "b1", 9e5, 9e4), Seed("s", "pune", "b2", 9e5, 9.0)])
    side.installation.refresh()
    assert "still exploring" in words(Visitor(side, "read").read("/dashboard/"))


def ask(side: Side, text: str, key: str = "read") -> Any:
    return Visitor(side, key).open("/dashboard/why", query_string={"token": text})


def test_a_token_is_explained_beside_todays_table(visited: Side) -> None:
    answer = visited.installation.banner(city="Poona").json
    text = words(ask(visited, f"  {answer['token']}\n").text)
    assert f"Banner {answer['banner']}" in text and "City pune" in text and "Chosen by learned" in text
    assert f"Probability {100 * answer['propensity']:.1f} %" in text
    assert "The same visit now" in text and "not the figures the decision was made with" in text


def test_what_a_token_does_not_hold_is_said_where_something_is_taken_for_it(side: Side) -> None:
    page = f"{HOME}/cities/pune"
    shop = side.store.configuration().tenants["shop"]
    side.store.put_tenant("shop", replace(shop, segments=()))
    side.installation.refresh()
    assert "first platform" not in words(Visitor(side, "read").read(page))
    side.store.put_slot("shop", Slot("home", platforms=("web", "app")))
    banner = side.store.configuration().banners["shop", "home"]["b1"]
    side.store.put_banner("shop", replace(banner, platforms=("app",)))
    side.installation.refresh()
    text = words(ask(side, side.installation.banner(city="pune", platform="app").json["token"]).text)
    assert "for a visitor in pune on web, the slot's first platform, of no segment" in text
    assert "not for this platform" in text
    assert "on web, the slot's first platform" in words(Visitor(side, "read").read(page))
    assert "in that city, seeds included, on web." in words(Visitor(side, "read").read(HOME))


def test_the_token_of_a_city_that_is_gone_is_explained_by_what_its_name_means_now(visited: Side) -> None:
    token = visited.installation.banner(city="pune").json["token"]
    shop = visited.store.configuration().tenants["shop"]
    for cities, meant in (({"mumbai": ("Pune",)}, "mumbai"), ({"mumbai": ()}, "other places")):
        visited.store.put_tenant("shop", replace(shop, cities=cities))
        visited.installation.refresh()
        text = words(ask(visited, token).text)
        assert "City pune" in text and f"for a visitor in {meant} on web" in text


def test_only_a_token_of_ours_and_of_this_tenant_is_explained(side: Side) -> None:
    token = side.installation.banner().json["token"]
    assert "no token of ours" in words(ask(side, token[:-1]).text)
    assert "no token of ours" in words(ask(side, "<b>x</b>").text)
    answer = words(ask(side, token, "other").text)
    assert "another tenant" in answer and "b1" not in answer.replace(token, "")


def test_the_token_of_a_slot_that_is_gone_is_still_explained(side: Side) -> None:
    token = Token(bytes(16), 1, 0, "holdout", False, 0.25, None, "shop", "gone", "_unknown", "x", None)
    text = words(ask(side, sign(token, side.installation.keyring)).text)
    assert "not there any more" in text and "each banner had the same probability" in text and "Counts no" in text
    assert "25.0 %" in text and "1 Jan 1970" in text and "no city" in text

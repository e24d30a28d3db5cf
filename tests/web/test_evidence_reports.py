"""Reports on what the evidence is worth, over HTTP."""

import threading

from storage.sample_ratio_watch import find, watch
from tests.service_process import wait_until
from tests.storage.events import deliver, served
from tests.web.flask_side import Side

TODAY = 20_485
OUT_OF_RATIO = [
    served(number, banner="b1", eligible="b1 b2", propensity=0.4, day=TODAY, served_at=1_769_900_000_000_000)
    for number in range(3000)
]
"""Only b1 was ever drawn."""


def test_a_new_slot_explores(side: Side) -> None:
    report = side.get("/reports/standing?slot=home", "read")
    assert (report["slot"], report["day"], report["state"], report["ahead"]) == ("home", "2026-02-01", "exploring", [])
    assert {row["banner"] for row in report["banners"]} == {"b1", "b2", "b3"}
    assert report["value_remaining"] is None
    side.installation.banner(city="pune")
    side.installation.settle()
    assert side.get("/reports/standing?slot=home", "read")["value_remaining"] > 1


def test_the_only_banner_that_is_clicked_wins_and_nothing_is_done_about_it(side: Side) -> None:
    installation = side.installation
    for _ in range(300):
        shown = installation.banner(city="pune").json
        if shown["banner"] == "b2":
            installation.click(shown["token"], key="server")
    installation.settle()
    report = side.get("/reports/standing?slot=home", "read")
    assert (report["state"], report["ahead"]) == ("winner", ["b2"])
    assert report["banners"][0]["p_best"] > 0.95 and report["value_remaining"] == 0
    slot = side.get("/admin/slots/home")
    assert slot["pinned_banner"] is None
    assert all(banner["enabled"] for banner in side.get("/admin/slots/home/banners")["banners"])
    side.call("PATCH", "/admin/slots/home/banners/b2", json={"enabled": False})
    left = side.get("/reports/standing?slot=home", "read")
    assert [row["banner"] for row in left["banners"]] != [] and "b2" not in left["ahead"]


def test_the_standing_of_an_unknown_slot_is_refused(side: Side) -> None:
    side.refused(404, "slot", "GET", "/reports/standing?slot=away", "read")
    side.refused(400, "from", "GET", "/reports/standing?slot=home&from=2026-01-01", "read")


# -- sample ratio ----------------------------------------------------------------------------------------------------


def test_draws_of_the_service_are_in_ratio(side: Side) -> None:
    side.call("PATCH", "/admin/slots/home", json={"exploration_share": 0.2, "holdout_share": 0.3})
    side.call("PATCH", "/admin/slots/home/banners/b3", json={"cities": ["mumbai"]})
    installation = side.installation
    installation.refresh()
    for number in range(400):
        installation.banner(city="pune" if number % 2 else "mumbai", customer_id=f"c{number}")
    installation.settle()
    report = side.get("/reports/sampling?slot=home", "read")
    by_banner = {row["banner"]: row for row in report["rows"]}
    assert {banner: row["decisions"] for banner, row in by_banner.items()} == {"b1": 400, "b2": 400, "b3": 200}
    assert sum(row["drawn"] for row in report["rows"]) == 400
    assert not report["alarm"] and not any(row["alarm"] for row in report["rows"])
    # 1 / p is at most 15 (one of three, 0.2 spread evenly): five standard deviations of 400 draws would be 0.9; the
    # seed is fixed and cities without evidence draw almost evenly.
    assert all(abs(row["ratio"] - 1) < 0.35 for row in report["rows"])


def test_a_pinned_or_default_banner_is_no_draw(side: Side) -> None:
    side.call("PATCH", "/admin/slots/home", json={"pinned_banner": "b2"})
    side.installation.refresh()
    side.installation.banner()
    side.installation.settle()
    report = side.get("/reports/sampling?slot=home", "read")
    assert (report["alarm"], report["rows"]) == (False, [])


def test_a_log_whose_propensities_were_not_used_raises_an_alarm_in_report_and_metrics(side: Side) -> None:
    deliver(side.installation.sink, *OUT_OF_RATIO)
    side.call("PATCH", "/admin/slots/home", json={"exploration_share": 0.5})
    report = side.get("/reports/sampling?slot=home", "read")
    assert report["alarm"] and {row["banner"]: row["ratio"] for row in report["rows"]} == {"b1": 2.5, "b2": 0.0}
    stop = threading.Event()
    installation = side.installation
    watcher = threading.Thread(
        target=watch,
        args=(side.store, installation.directory / "journal", stop, installation.clock_us),
    )
    assert "\nbanner_sample_ratio_alarms 0\n" in side.call("GET", "/metrics", None).text
    watcher.start()
    wait_until(lambda: "\nbanner_sample_ratio_alarms 2\n" in side.call("GET", "/metrics", None).text, "the alarms")
    stop.set()
    watcher.join()


def test_an_alarm_ends_a_week_after_its_cause(side: Side) -> None:
    deliver(side.installation.sink, *OUT_OF_RATIO)
    side.call("PATCH", "/admin/slots/home", json={"exploration_share": 0.5})
    at = side.installation.clock_us()
    assert find(side.store, at) == {("shop", "home", "b1"), ("shop", "home", "b2")}
    assert find(side.store, at + 7 * 86_400_000_000) == set()


# -- shadow ----------------------------------------------------------------------------------------------------------


def test_a_shadow_predicts_the_lift(side: Side) -> None:
    side.call("PATCH", "/admin/slots/home", json={"shadow": True, "exploration_share": 0.2})
    installation = side.installation
    installation.refresh()
    for number in range(600):
        shown = installation.banner(city="pune", banner=f"b{number % 3 + 1}").json
        if shown["banner"] == "b2" and number % 2:
            installation.click(shown["token"], key="server")
        if number % 100 == 99:
            installation.settle()
    report = side.get("/reports/shadow?slot=home", "read")
    assert (report["impressions"], report["covered"], report["confidence"]) == (600, 1.0, 0.95)
    assert report["clicks"]["lift"]["low"] > 0 and report["clicks"]["conclusive"]
    assert report["clicks"]["learned"]["expected"] > report["clicks"]["shown"]["expected"]
    assert report["value"] == report["clicks"]


def test_a_slot_that_never_was_in_shadow_predicts_nothing(side: Side) -> None:
    report = side.get("/reports/shadow?slot=home", "read")
    assert (report["impressions"], report["clicks"], report["value"]) == (0, None, None)

"""Reports on what the evidence is worth, over HTTP."""

from tests.web.flask_side import Side


def test_a_new_slot_explores(side: Side) -> None:
    report = side.get("/reports/standing?slot=home", "read")
    assert (report["slot"], report["day"], report["state"], report["ahead"]) == ("home", "2026-02-01", "exploring", [])
    assert {row["banner"] for row in report["banners"]} == {"b1", "b2", "b3"}


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

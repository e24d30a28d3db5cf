"""Reports over HTTP, on counts that came in over HTTP."""

import csv
from datetime import date
from io import StringIO
from typing import Any

import pytest

from bandit.model import SegmentRow, Slot
from bandit.zone import date_to_day
from tests.web.flask_side import Side
from web import reports
from web.csv_answer import csv_answer


@pytest.fixture
def measured(side: Side) -> Side:
    """Visits on the last evening of January in UTC, which is 1 February in India; and one more an India day later."""
    installation = side.installation
    tokens = [
        installation.banner(city=city, referrer_id="mail", customer_id="c1").json["token"]
        for city in ("pune", "Poona", "Mumbai", "Atlantis")
    ]
    installation.sleep(seconds=2)
    installation.view(tokens[0], key="server")
    for token in tokens[:2]:
        installation.click(token, key="server")
    installation.sleep(days=1)
    installation.banner()
    installation.settle()
    return side


def rows(side: Side, path: str, column: str) -> dict[str, Any]:
    return {row[column]: row for row in side.get(path, "read")["rows"]}


def test_counts_by_city_are_those_of_the_tenants_days(measured: Side) -> None:
    report = measured.get("/reports/city?slot=home&from=2026-02-01&to=2026-02-01", "read")
    assert {key: report[key] for key in ("slot", "from", "to", "time_zone")} == {
        "slot": "home",
        "from": "2026-02-01",
        "to": "2026-02-01",
        "time_zone": "Asia/Kolkata",
    }
    counted = {row["city"]: (row["served"], row["viewed"], row["clicks"]) for row in report["rows"]}
    assert counted == {"pune": (2, 2, 2), "mumbai": (1, 0, 0), "_other": (1, 0, 0)}
    pune = report["rows"][0]
    assert (pune["trials"], pune["ctr"], pune["share"]) == (2, 1.0, 0.5)
    assert 0 < pune["ctr_low"] < 1 == pune["ctr_high"]


def test_counts_by_day_are_in_order(measured: Side) -> None:
    by_day = rows(measured, "/reports/day?slot=home&from=2026-01-31&to=2026-02-03", "day")
    assert {day: row["served"] for day, row in by_day.items()} == {"2026-02-01": 4, "2026-02-02": 1}


def test_counts_by_banner_have_the_chance_to_be_best(measured: Side) -> None:
    by_banner = rows(measured, "/reports/banner?slot=home&to=2026-02-02", "banner")
    assert set(by_banner) == {"b1", "b2", "b3"}
    assert sum(row["p_best"] for row in by_banner.values()) == pytest.approx(1)
    assert sum(row["served"] for row in by_banner.values()) == 5
    measured.call("PATCH", "/admin/slots/home/banners/b1", json={"enabled": False})
    paused = rows(measured, "/reports/banner?slot=home&to=2026-02-02", "banner")
    assert paused.get("b1", {"p_best": None})["p_best"] is None
    only = measured.get("/reports/banner?slot=home&to=2026-02-02&banner=b2", "read")["rows"]
    assert [row["banner"] for row in only] == ["b2"]


def test_counts_by_banner_show_own_evidence_what_is_borrowed_and_the_interval_of_both(measured: Side) -> None:
    for city, own in (("pune", 2), ("new-delhi", 0)):
        by_banner = rows(measured, f"/reports/banner?slot=home&to=2026-02-02&city={city}", "banner")
        assert sum(row["trials"] for row in by_banner.values()) == own
        for row in by_banner.values():
            assert 0 <= row["estimate_low"] < row["estimate"] < row["estimate_high"] <= 1
            assert row["borrowed_trials"] > 0


def test_counts_can_be_narrowed(measured: Side) -> None:
    assert set(rows(measured, "/reports/city?slot=home&to=2026-02-02&city=_other", "city")) == {"_other"}
    assert rows(measured, "/reports/policy?slot=home&to=2026-02-02", "policy")["learned"]["served"] == 5
    assert rows(measured, "/reports/policy?slot=home&to=2026-02-02&policy=holdout", "policy") == {}
    measured.refused(400, "policy", "GET", "/reports/day?slot=home&policy=guess")
    measured.refused(400, "city", "GET", "/reports/day?slot=home&city=")
    measured.refused(400, "city", "GET", f"/reports/day?slot=home&city={'x' * 65}")


CLICKS = "/reports/clicks?day=2026-02-01&city="
OF_CITIES = [f"/reports/{group}?slot=home&to=2026-02-02&city=" for group in ("banner", "city", "day", "policy")]


@pytest.mark.parametrize("path", [CLICKS, *OF_CITIES])
def test_a_city_is_asked_for_as_people_write_it(measured: Side, path: str) -> None:
    found = measured.get(path + "pune", "read")
    assert found["rows"]
    for written in ("Pune", "Poona", "%20pUn%C3%A9"):
        assert measured.get(path + written, "read") == found
    assert measured.get(path + "New%20Delhi", "read")["rows"] != found["rows"]  # a city without visits
    assert measured.call("GET", path + "_unknown", "read").status_code == 200
    for unknown in ("zzz", "%2E%2E/", "other"):
        told = measured.refused(404, "city", "GET", path + unknown, "read")
        assert "pune" in told and "_other" in told


@pytest.mark.parametrize("path", [CLICKS, *OF_CITIES])
def test_a_city_that_was_removed_is_asked_for_by_its_id_while_it_has_counts(measured: Side, path: str) -> None:
    found = measured.get(path + "pune", "read")["rows"]
    for aliases in ([], ["pune"]):
        measured.call("PATCH", "/admin/tenants/shop", "operator", json={"cities": {"mumbai": aliases}})
        assert measured.get(path + "pune", "read")["rows"] == found
    measured.refused(404, "city", "GET", path + "new-delhi", "read")


@pytest.mark.parametrize("path", OF_CITIES)
def test_a_banner_that_never_was_is_named_and_one_that_was_removed_keeps_its_counts(measured: Side, path: str) -> None:
    path = path.removesuffix("city=") + "banner="
    measured.refused(404, "banner", "GET", path + "nope", "read")
    shown = measured.get("/reports/banner?slot=home&to=2026-02-02", "read")["rows"][0]["banner"]
    served = [row["served"] for row in measured.get(path + shown, "read")["rows"]]
    assert sum(served) > 0
    assert measured.call("DELETE", f"/admin/slots/home/banners/{shown}").status_code == 204
    assert [row["served"] for row in measured.get(path + shown, "read")["rows"]] == served


def test_counts_by_referrer(measured: Side) -> None:
    mail = rows(measured, "/reports/referrer?slot=home", "referrer")["mail"]
    assert (mail["served"], mail["viewed"], mail["clicks"]) == (4, 2, 2)
    measured.refused(400, "city", "GET", "/reports/referrer?slot=home&city=pune")


def test_counts_by_segment_are_those_of_the_last_clustering(side: Side) -> None:
    day = date_to_day(date(2026, 2, 1))
    path = "/reports/segment?slot=home&from=2026-02-01&to=2026-02-01"
    assert side.get(path, "read")["rows"] == []
    counted = [SegmentRow(day, "s1", "b1", 100, 80, 8), SegmentRow(day, "s1", "b2", 50, 40, 1)]
    side.store.put_segments("shop", 1, [(b"customer", "s1")], [("home", row) for row in counted])
    (row,) = side.get(path, "read")["rows"]
    assert (row["segment"], row["served"], row["viewed"], row["clicks"], row["share"]) == ("s1", 150, 120, 9, 1.0)
    assert row["ctr"] == pytest.approx(0.06) and row["ctr_low"] < 0.06 < row["ctr_high"]
    assert side.call("GET", path + "&format=csv", "read").text.splitlines()[1].startswith("s1,")


def test_a_slot_that_counts_views_reports_views_as_trials(measured: Side) -> None:
    measured.call("PATCH", "/admin/slots/home", json={"trial": "viewed"})
    pune = rows(measured, "/reports/city?slot=home", "city")["pune"]
    assert (pune["trials"], pune["ctr"]) == (2, 1.0)


def test_lift_compares_the_learned_choice_with_the_holdout(measured: Side) -> None:
    lift = measured.get("/reports/lift?slot=home&to=2026-02-02", "read")
    assert lift["learned"]["trials"] == 5 and lift["learned"]["clicks"] == 2
    assert lift["holdout"] == {"trials": 0, "clicks": 0, "value": 0, "ctr": None, "value_per_trial": None}
    assert (lift["lift"], lift["low"], lift["conclusive"], lift["confidence"]) == (None, None, False, 0.95)
    assert lift["value"] == {name: lift[name] for name in ("lift", "low", "high", "conclusive", "further_trials")}


def test_lift_can_be_measured_over_one_banner_of_the_slot(measured: Side) -> None:
    assert measured.get("/reports/lift?slot=home&banner=b2", "read")["over"] == "b2"
    measured.refused(404, "banner", "GET", "/reports/lift?slot=home&banner=b9", "read")


def test_reports_show_what_the_clicks_are_worth(measured: Side) -> None:
    for banner in ("b1", "b2", "b3"):
        measured.call("PATCH", f"/admin/slots/home/banners/{banner}", json={"weight": 2.5})
    pune = rows(measured, "/reports/city?slot=home&to=2026-02-02", "city")["pune"]
    assert (pune["clicks"], pune["value"], pune["value_per_trial"]) == (2, 5.0, 2.5)
    assert rows(measured, "/reports/referrer?slot=home", "referrer")["mail"]["value"] == 5.0
    assert measured.get("/reports/lift?slot=home&to=2026-02-02", "read")["learned"]["value"] == 5.0


def test_clicks_show_both_times_with_the_tenants_offset(measured: Side) -> None:
    report = measured.get("/reports/clicks?city=pune&day=2026-02-01", "read")
    assert (report["city"], report["day"], report["time_zone"]) == ("pune", "2026-02-01", "Asia/Kolkata")
    assert len(report["rows"]) == 2
    click = report["rows"][0]
    assert click["served_at"] == "2026-02-01T01:30:00.000000+05:30"
    assert click["received_at"] == "2026-02-01T01:30:02.000000+05:30"
    assert (click["slot"], click["referrer"]) == ("home", "mail")
    assert "c1" not in click["customer"] and len(bytes.fromhex(click["customer"])) == 8
    assert measured.get("/reports/clicks?city=pune&day=2026-01-31")["rows"] == []
    measured.refused(400, "day", "GET", "/reports/clicks?city=pune&day=1")
    measured.refused(400, "city", "GET", "/reports/clicks?day=2026-01-31")


def test_of_more_clicks_than_fit_the_latest_are_shown_and_it_says_so(
    measured: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/reports/clicks?city=pune&day=2026-02-01"
    every = measured.get(path, "read")
    assert not every["truncated"] and len(every["rows"]) == 2
    assert measured.call("GET", f"{path}&format=csv", "read").headers["X-Truncated"] == "false"
    monkeypatch.setattr(reports, "MAX_CLICKS", 1)
    assert measured.get(path, "read") == {**every, "truncated": True, "rows": every["rows"][1:]}
    answer = measured.call("GET", f"{path}&format=csv", "read")
    assert answer.headers["X-Truncated"] == "true"
    assert len(list(csv.DictReader(StringIO(answer.text)))) == 1


def test_unrecognised_cities_are_listed_with_their_traffic(measured: Side) -> None:
    measured.installation.banner(city='=HYPERLINK("http://evil")')
    measured.installation.settle()
    found = {row["city"]: row["impressions"] for row in measured.get("/reports/unrecognised-cities", "read")["rows"]}
    assert list(found.values()) == [1, 1]
    answer = measured.call("GET", "/reports/unrecognised-cities?format=csv", "read")
    cells = [row[0] for row in csv.reader(StringIO(answer.text))]
    assert cells[0] == "city" and not any(cell.startswith("=") for cell in cells)


def test_a_city_name_that_became_an_alias_is_no_longer_unrecognised(measured: Side) -> None:
    rows = measured.get("/reports/unrecognised-cities", "read")["rows"]
    alias = rows[0]["city"]
    cities = measured.get("/admin/tenants/shop", "operator")["cities"]
    measured.call("PATCH", "/admin/tenants/shop", "operator", json={"cities": {**cities, "pune": [alias]}})
    left = measured.get("/reports/unrecognised-cities", "read")["rows"]
    assert left == rows[1:]


def test_a_report_as_csv_has_the_same_rows(measured: Side) -> None:
    path = "/reports/banner?slot=home&to=2026-02-02"
    answer = measured.call("GET", f"{path}&format=csv", "read")
    assert answer.mimetype == "text/csv" and "home-by-banner-" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"
    read = list(csv.DictReader(StringIO(answer.text)))
    assert [row["banner"] for row in read] == [row["banner"] for row in measured.get(path, "read")["rows"]]
    assert set(read[0]) == set(measured.get(path, "read")["rows"][0])
    clicks = measured.call("GET", "/reports/clicks?city=pune&day=2026-02-01&format=csv", "read")
    assert len(list(csv.DictReader(StringIO(clicks.text)))) == 2


def test_cells_that_a_spreadsheet_would_run_are_quoted() -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "plain", "a=b"]
    answer = csv_answer("x", ("text", "number"), [{"text": text, "number": -1.5} for text in texts])
    read = list(csv.reader(StringIO(answer.get_data(as_text=True), newline="")))[1:]
    assert [row[0] for row in read] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "'\rx", "plain", "a=b"]
    assert {row[1] for row in read} == {"-1.5"}


def test_days_default_to_the_last_thirty_of_the_tenant(side: Side) -> None:
    report = side.get("/reports/day?slot=home", "read")
    assert (report["from"], report["to"]) == ("2026-01-03", "2026-02-01")
    side.call("PATCH", "/admin/tenants/shop", json={"time_zone": "America/New_York"})
    report = side.get("/reports/day?slot=home", "read")
    assert (report["from"], report["to"], report["time_zone"]) == ("2026-01-02", "2026-01-31", "America/New_York")
    assert side.get("/reports/day?slot=home&to=0001-01-05", "read")["from"] == "0001-01-01"


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("from", "from=2026-02-02&to=2026-02-01"),
        ("from", "from=2024-12-01&to=2026-02-01"),
        ("from", "from=yesterday"),
        ("to", "to=2026-02-30"),
        ("to", "to=20260201"),
        ("to", "to=1769904000"),
        ("format", "format=xml"),
        ("slot", "slot="),
    ],
)
def test_a_wrong_question_is_refused_by_field(side: Side, field: str, query: str) -> None:
    side.refused(400, field, "GET", f"/reports/day?{query}" + ("" if field == "slot" else "&slot=home"), "read")


def test_a_report_covers_at_most_400_days(side: Side) -> None:
    assert side.call("GET", "/reports/day?slot=home&from=2024-12-29&to=2026-02-01", "read").status_code == 200
    assert "400" in side.refused(400, "from", "GET", "/reports/day?slot=home&from=2024-12-28&to=2026-02-01", "read")


def test_an_unknown_slot_is_named(side: Side) -> None:
    side.refused(404, "slot", "GET", "/reports/lift?slot=away", "read")


def test_every_slot_has_reports_of_its_own(measured: Side) -> None:
    measured.store.put_slot("shop", Slot("empty"))
    assert measured.get("/reports/city?slot=empty&to=2026-02-02")["rows"] == []

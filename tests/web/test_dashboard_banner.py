"""The rules of a banner: previewed, saved, refused."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bandit.model import Banner, Slot
from tests.web.browsing import Visitor, words
from tests.web.flask_side import Side

PAGE = "/dashboard/slots/home/banners/b1"
AS_IT_IS = {
    "enabled": "yes",
    "weight": "1",
    "min_share": "0",
    "max_share": "1",
    "starts_at": "",
    "ends_at": "",
    "cities": "",
    "excluded_cities": "",
}


def stored(side: Side, banner: str = "b1") -> Banner:
    return side.store.configuration().banners["shop", "home"][banner]


def opened(page: str) -> dict[str, str]:
    """The hidden fields that say what the form was opened with."""
    return dict(re.findall(r'<input type="hidden" name="(was_\w+)" value="([^"]*)">', page))


def submit(visitor: Visitor, act: str, **fields: str | None) -> Any:
    """The form as it is, with these fields changed; None unchecks a box."""
    return send(visitor, opened(visitor.read(PAGE)), act, **fields)


def send(visitor: Visitor, hidden: dict[str, str], act: str, **fields: str | None) -> Any:
    """The form as it was, with these fields changed."""
    sent = {**AS_IT_IS, **hidden, **fields, "act": act}
    return visitor.send(PAGE, **{name: value for name, value in sent.items() if value is not None})


def test_saving_changes_what_the_form_says_and_says_so(side: Side) -> None:
    visitor = Visitor(side, "admin")
    answer = submit(
        visitor,
        "save",
        weight="2.5",
        min_share="0.1",
        max_share="0.6",
        starts_at="2026-02-01T09:00",
        ends_at="2026-03-01T00:00:30",
        cities="pune, mumbai",
        excluded_cities=" mumbai ,",
    )
    assert answer.status_code == 303 and "Saved" in words(visitor.read(answer.headers["Location"]))
    before = Banner("home", "b1", "/media/shop/b1.png", "https://shop.example/b1")
    assert stored(side) == replace(
        before,
        weight=2.5,
        min_share=0.1,
        max_share=0.6,
        starts_at=datetime(2026, 2, 1, 3, 30, tzinfo=UTC),
        ends_at=datetime(2026, 2, 28, 18, 30, 30, tzinfo=UTC),
        cities=("pune", "mumbai"),
        excluded_cities=("mumbai",),
    )
    assert 'value="2026-02-01T09:00:00"' in visitor.read(PAGE)
    (row,) = visitor.download("/dashboard/changes?csv=changes")
    assert row["subject"] == "banner home/b1" and "weight: 1.0 → 2.5" in row["detail"]


def test_saving_without_a_change_stores_and_logs_nothing(side: Side) -> None:
    version, visitor = side.store.configuration_version(), Visitor(side, "admin")
    assert submit(visitor, "save").status_code == 303
    assert side.store.configuration_version() == version
    assert visitor.download("/dashboard/changes?csv=changes") == []


def test_a_preview_shows_the_shares_and_saves_nothing(side: Side) -> None:
    version, visitor = side.store.configuration_version(), Visitor(side, "admin")
    text = words(submit(visitor, "preview", max_share="0.1", min_share="0.1").text)
    assert "Nothing is saved yet" in text and "What the shares become" in text
    assert "b1 " in text and "10.0 %" in text
    assert side.store.configuration_version() == version
    page = submit(visitor, "preview", weight="7").text
    assert 'value="7"' in page


def test_the_shares_now_can_be_downloaded_and_a_preview_cannot(side: Side) -> None:
    visitor = Visitor(side, "admin")
    assert "csv=shares" in visitor.read(PAGE)
    assert [list(row) for row in visitor.download(f"{PAGE}?csv=shares")] == [["banner", "now"]] * 3
    assert "csv=" not in submit(visitor, "preview", weight="7").text


def test_the_shares_say_whose_they_are(side: Side) -> None:
    visitor = Visitor(side, "admin")
    assert "Shares of the next visitors outside the holdout, over the ten" in words(visitor.read(PAGE))
    side.store.put_slot("shop", Slot("home", shadow=True))
    assert "the storefront chooses. Shares of what would be shown otherwise, over the ten" in words(visitor.read(PAGE))
    side.store.put_slot("shop", Slot("home", enabled=False))
    text = words(visitor.read(PAGE))
    assert "switched off: nobody is shown a banner" in text and "next visitors" not in text


def test_a_preview_comes_true(side: Side) -> None:
    visitor = Visitor(side, "admin")
    changes = {"min_share": "0.25", "max_share": "0.25"}
    assert "25.0 %" in words(submit(visitor, "preview", **changes).text)
    submit(visitor, "save", **changes)
    side.installation.refresh()
    rows = {row["banner"]: float(row["now"]) for row in visitor.download(f"{PAGE}?csv=shares")}
    assert rows["b1"] == pytest.approx(0.25) and sum(rows.values()) == pytest.approx(1)


def test_pausing_gives_the_others_its_share(side: Side) -> None:
    visitor = Visitor(side, "admin")
    assert "b1 " in words(submit(visitor, "preview", enabled=None).text)
    assert submit(visitor, "save", enabled=None).status_code == 303
    assert not stored(side).enabled
    side.installation.refresh()
    assert {side.installation.banner().json["banner"] for _ in range(30)} == {"b2", "b3"}
    submit(visitor, "save")
    assert stored(side).enabled


def test_a_pin_is_the_slots_and_can_be_taken_away(side: Side) -> None:
    visitor = Visitor(side, "admin")
    assert "100.0 %" in words(submit(visitor, "preview", pinned="yes").text)
    submit(visitor, "save", pinned="yes")
    assert side.store.configuration().slots["shop", "home"].pinned_banner == "b1"
    assert "b1 is pinned" in words(visitor.read("/dashboard/slots/home"))
    submit(visitor, "save")
    assert side.store.configuration().slots["shop", "home"].pinned_banner is None
    assert [row["subject"] for row in visitor.download("/dashboard/changes?csv=changes")] == ["slot home"] * 2


def test_a_paused_banner_is_not_pinned(side: Side) -> None:
    for act in ("preview", "save"):
        answer = submit(Visitor(side, "admin"), act, pinned="yes", enabled=None)
        assert answer.status_code == 400 and 'aria-invalid="true"' in answer.text
        assert "Pinned: a paused banner is shown to nobody; check Takes part, or uncheck this" in words(answer.text)
    assert stored(side).enabled and side.store.configuration().slots["shop", "home"].pinned_banner is None


def test_another_banners_pin_is_left_alone(side: Side) -> None:
    side.store.put_slot("shop", Slot("home", pinned_banner="b2"))
    submit(Visitor(side, "admin"), "save", weight="3")
    assert side.store.configuration().slots["shop", "home"].pinned_banner == "b2"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weight", "", "Weight: should be a valid number"),
        ("weight", "much", "Weight: should be a valid number"),
        ("weight", "nan", "Weight: should be a finite number"),
        ("weight", "-1", "Weight: should be greater than 0"),
        ("min_share", "2", "Least share: should be less than or equal to 1"),
        ("max_share", "-0.1", "Largest share: should be greater than or equal to 0"),
        ("starts_at", "tomorrow", "Starts: must be a time"),
        ("ends_at", "0001-01-01T00:00", "Ends: must be of the years 2000 to 2199"),
        ("cities", "atlantis", "Only in these cities: atlantis is not a city"),
        ("cities", "pune, no id!", "Only in these cities: no id! must be 1 to 32 letters"),
        ("excluded_cities", "atlantis", "Not in these cities: atlantis is not a city"),
    ],
)
def test_a_wrong_field_is_named_as_on_the_page_and_what_was_typed_stays(
    side: Side, field: str, value: str, message: str
) -> None:
    before = stored(side)
    for act in ("preview", "save"):
        answer = submit(Visitor(side, "admin"), act, **{field: value})
        assert answer.status_code == 400 and message in words(answer.text), answer.text
        assert f'value="{value}"' in answer.text and 'aria-invalid="true"' in answer.text
    assert stored(side) == before


def test_rules_that_contradict_each_other_are_refused(side: Side) -> None:
    visitor = Visitor(side, "admin")
    crossed = submit(visitor, "save", min_share="0.5", max_share="0.1")
    assert "Least share: must not exceed Largest share" in words(crossed.text)
    late = submit(visitor, "save", starts_at="2026-02-02T00:00", ends_at="2026-02-01T00:00")
    assert "Ends: must be after Starts" in words(late.text)


def test_a_banner_without_a_picture_stays_paused_and_hears_why(side: Side) -> None:
    side.store.put_banner("shop", replace(stored(side), image_url="", enabled=False))
    answer = submit(Visitor(side, "admin"), "save")
    assert answer.status_code == 400 and not stored(side).enabled
    assert "a banner without a picture must be paused until one is uploaded" in words(answer.text)
    assert "image_url:" not in words(answer.text)


def test_a_change_made_by_somebody_else_meanwhile_is_not_overwritten(side: Side) -> None:
    visitor = Visitor(side, "admin")
    hidden = opened(visitor.read(PAGE))
    side.store.put_banner("shop", replace(stored(side), enabled=False, max_share=0.5, cities=("pune",)))
    answer = send(visitor, hidden, "save", weight="2")
    assert answer.status_code == 409 and stored(side).weight == 1.0
    text = words(answer.text)
    assert "Takes part is now unchecked, Largest share is now 0.5, Only in these cities is now pune." in text
    assert "What the shares become" in text and "Weight is now" not in text
    page = answer.text
    assert re.search(r'name="enabled" value="yes" aria', page) and 'name="weight" type="number" value="2"' in page
    again = {"enabled": None, "max_share": "0.5", "cities": "pune", "weight": "2"}
    assert send(visitor, opened(page), "save", **again).status_code == 303
    assert stored(side) == replace(
        Banner("home", "b1", "/media/shop/b1.png", "https://shop.example/b1"),
        weight=2.0,
        enabled=False,
        max_share=0.5,
        cities=("pune",),
    )


def test_where_two_change_the_same_field_the_second_hears_of_the_first(side: Side) -> None:
    visitor = Visitor(side, "admin")
    hidden = opened(visitor.read(PAGE))
    side.store.put_slot("shop", Slot("home", pinned_banner="b1"))
    side.store.put_banner("shop", replace(stored(side), weight=9.0, starts_at=datetime(2026, 1, 1, tzinfo=UTC)))
    answer = send(visitor, hidden, "preview", weight="2")
    assert answer.status_code == 409 and 'name="weight" type="number" value="2"' in answer.text
    text = words(answer.text)
    assert "Pinned is now checked, Weight is now 9, Starts is now 2026-01-01T05:30:00." in text


def test_a_form_sent_twice_is_saved_once(side: Side) -> None:
    visitor = Visitor(side, "admin")
    hidden = opened(visitor.read(PAGE))
    assert [send(visitor, hidden, "save", weight="2").status_code for _ in range(2)] == [303, 303]
    assert len(visitor.download("/dashboard/changes?csv=changes")) == 1


def test_what_is_typed_stays_also_where_it_no_longer_fits_what_somebody_else_changed(side: Side) -> None:
    visitor = Visitor(side, "admin")
    hidden = opened(visitor.read(PAGE))
    side.store.put_banner("shop", replace(stored(side), max_share=0.3))
    answer = send(visitor, hidden, "save", min_share="0.5")
    assert answer.status_code == 400 and stored(side).min_share == 0.0
    assert "Largest share is now 0.3" in words(answer.text)
    assert "Least share: must not exceed Largest share" in words(answer.text) and 'value="0.5"' in answer.text


def test_a_change_of_what_the_form_does_not_show_is_no_conflict(side: Side) -> None:
    side.store.put_banner("shop", replace(stored(side), ends_at=datetime(2026, 3, 1, tzinfo=UTC)))
    visitor = Visitor(side, "admin")
    hidden = opened(visitor.read(PAGE))
    side.store.put_banner("shop", replace(stored(side), alt="A sale"))
    # As browsers write it, without the seconds.
    assert send(visitor, hidden, "save", weight="2", ends_at="2026-03-01T05:30").status_code == 303
    assert (stored(side).alt, stored(side).weight) == ("A sale", 2.0)


def test_a_form_that_does_not_say_what_it_was_opened_with_saves_nothing(side: Side) -> None:
    assert send(Visitor(side, "admin"), {}, "save", weight="2").status_code == 409
    assert stored(side).weight == 1.0


def test_reading_is_not_changing(side: Side) -> None:
    visitor = Visitor(side, "read")
    assert visitor.open(PAGE).status_code == 403
    assert "banners/b1" not in visitor.read("/dashboard/slots/home")
    assert "banners/b1" in Visitor(side, "admin").read("/dashboard/slots/home")
    assert Visitor(side, "admin").open("/dashboard/slots/home/banners/b9").status_code == 404

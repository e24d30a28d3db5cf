"""A slot in shadow, through the front door: others choose, we learn and log what we would have chosen."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest

from bandit.model import Slot
from tests.installation import Installation
from tests.serving.asking import cell, clicks, trials

SHADOW = Slot("home", shadow=True, exploration_share=0.2, default_banner="b1")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, slot=SHADOW)
    yield installation
    installation.close()


def change(shop: Installation, **changes: object) -> None:
    shop.store.put_slot("shop", replace(SHADOW, **changes))  # type: ignore[arg-type]
    shop.refresh()


def test_the_callers_banner_is_served_else_the_default(shop: Installation) -> None:
    named, unnamed = shop.banner(banner="b3").json, shop.banner().json
    assert [(one["banner"], one["policy"], one["reason"]) for one in (named, unnamed)] == [
        ("b3", "fixed", "shadow"),
        ("b1", "fixed", "shadow"),
    ]


def test_what_would_have_been_chosen_is_logged_with_its_propensity(shop: Installation) -> None:
    for _ in range(300):
        shop.banner(city="pune", banner="b3")
    chances = dict(zip(("b1", "b2", "b3"), cell(shop).probabilities, strict=True))
    events = shop.journaled()
    assert {(event.banner, event.policy, event.reason, event.eligible) for event in events} == {
        ("b3", "fixed", "shadow", "b1 b2 b3")
    }
    drawn = Counter(event.would_be_banner for event in events)
    for banner, chance in chances.items():
        # Four standard deviations of 300 draws.
        assert drawn[banner] == pytest.approx(300 * chance, abs=4 * sqrt(300 * chance * (1 - chance)))
        assert {event.propensity for event in events if event.would_be_banner == banner} == {chance}


def test_clicks_in_shadow_count_for_what_was_shown_and_teach(shop: Installation) -> None:
    token = shop.banner(city="pune", banner="b2").json["token"]
    shop.click(token)
    shop.settle()
    (row,) = shop.counts()
    assert (row.policy, row.banner, row.served, row.clicks) == ("fixed", "b2", 1, 1)
    assert (trials(shop), clicks(shop)) == (1, 1)


def test_a_banner_the_slot_does_not_have_is_refused_by_field(shop: Installation) -> None:
    answer = shop.banner(banner="b9")
    assert (answer.status, answer.json["error"]["field"]) == (404, "banner")
    assert shop.banner(banner="not an id").status == 400


def test_the_caller_may_show_a_paused_banner_but_it_would_not_be_chosen(shop: Installation) -> None:
    shop.put_banner("b3", enabled=False)
    shop.refresh()
    assert shop.banner(banner="b3").json["banner"] == "b3"
    (event,) = shop.journaled()
    assert event.eligible == "b1 b2" and event.would_be_banner in ("b1", "b2")


def test_without_caller_and_default_nothing_is_shown(shop: Installation) -> None:
    change(shop, default_banner=None)
    assert shop.banner().status == 204
    assert shop.banner(banner="b2").status == 200


def test_a_disabled_slot_shows_nothing_in_shadow_either(shop: Installation) -> None:
    change(shop, enabled=False)
    assert shop.banner(banner="b2").status == 204


def test_when_nothing_may_be_chosen_the_caller_goes_on_showing(shop: Installation) -> None:
    for banner in ("b1", "b2", "b3"):
        shop.put_banner(banner, enabled=False)
    shop.refresh()
    assert shop.banner(banner="b2").json["propensity"] == 1.0
    (event,) = shop.journaled()
    assert (event.banner, event.would_be_banner, event.eligible) == ("b2", None, None)


def test_a_pin_is_what_would_be_shown(shop: Installation) -> None:
    change(shop, pinned_banner="b3")
    shop.banner(banner="b2")
    (event,) = shop.journaled()
    assert (event.banner, event.would_be_banner, event.propensity, event.eligible) == ("b2", "b3", 1.0, None)


def test_out_of_shadow_the_callers_banner_is_not_looked_at(shop: Installation) -> None:
    change(shop, shadow=False)
    answers = [shop.banner(banner=banner).json for banner in ("b3", "b9")]
    assert {answer["reason"] for answer in answers} == {"learned"}


def test_events_of_the_learned_choice_say_who_competed(shop: Installation) -> None:
    change(shop, shadow=False, holdout_share=0.5)
    shop.put_banner("b2", cities=("mumbai",))
    shop.refresh()
    for number in range(40):
        shop.banner(city="pune" if number % 2 else "mumbai")
    events = shop.journaled()
    assert {event.policy for event in events} == {"learned", "holdout"}
    assert {(event.city, event.eligible) for event in events} == {("pune", "b1 b3"), ("mumbai", "b1 b2 b3")}
    assert all(event.banner in str(event.eligible).split() and event.would_be_banner is None for event in events)


def test_a_banner_with_a_ceiling_of_0_does_not_compete(shop: Installation) -> None:
    change(shop, shadow=False)
    shop.put_banner("b2", max_share=0.0)
    shop.refresh()
    shop.banner()
    assert [event.eligible for event in shop.journaled()] == ["b1 b3"]

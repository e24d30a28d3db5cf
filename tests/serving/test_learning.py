"""What is learned, as a storefront sees it: through HTTP calls and nothing else.

All seeds are fixed. Each tolerance says how often another seed would break it.
"""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from bandit.model import Seed, Slot, Trial
from tests.installation import Installation
from tests.serving.taught_shop import (
    StartShop,
    ask,
    chances,
    explained,
    refresh,
    share,
    teach,
    trials,
)

# --- learning ---


def visit(shop: Installation, rng: random.Random, rates: dict[str, dict[str, float]], times: int) -> list[Any]:
    """Visitors who click with these rates, by city and banner; what they were shown."""
    answers = []
    for _ in range(times):
        city = rng.choice(list(rates))
        answer = shop.banner(city=city).json
        if rng.random() < rates[city][answer["banner"]]:
            shop.click(answer["token"])
        answers.append(answer)
    return answers


def test_the_banner_that_is_clicked_most_takes_over_in_each_city(start: StartShop) -> None:
    shop = start(banners=4)
    rates = {
        "pune": {"b1": 0.10, "b2": 0.03, "b3": 0.02, "b4": 0.02},
        "mumbai": {"b1": 0.02, "b2": 0.03, "b3": 0.02, "b4": 0.10},
    }
    best = {"pune": "b1", "mumbai": "b4"}
    rng = random.Random(1)
    answers: list[Any] = []
    for _ in range(25):
        answers += visit(shop, rng, rates, 200)
        shop.settle()
    last = answers[-1000:]
    shares = {city: share([answer for answer in last if answer["city"] == city], best[city]) for city in rates}
    assert min(shares.values()) > 0.8  # 25 other seeds gave 0.94 to 0.99
    report = {row.city: 0 for row in shop.counts()}
    for row in shop.counts():
        report[row.city] += row.served
    assert report == Counter(answer["city"] for answer in answers)


def test_a_slot_may_count_views_as_trials(start: StartShop) -> None:
    shop = start(trial=Trial.VIEWED)
    answers = ask(shop, 10)
    for answer in answers[:4]:
        shop.view(answer["token"])
    for answer in answers[3:6]:
        shop.click(answer["token"])  # a click implies a view
    shop.settle()
    assert trials(shop) == 6
    assert sum(row["clicks"] for row in explained(shop).values()) == 3
    shop.store.put_slot("shop", Slot("home", trial=Trial.SERVED))
    shop.refresh()
    assert trials(shop) == 10


def test_evidence_fades_by_half_lives_and_ends_with_the_lookback(start: StartShop) -> None:
    shop = start(half_life_days=7, lookback_days=20)
    for answer in ask(shop, 8)[:2]:
        shop.click(answer["token"])
    shop.settle()
    faded = []
    for _ in range(3):
        rows = explained(shop).values()
        faded.append((sum(row["trials"] for row in rows), sum(row["clicks"] for row in rows)))
        shop.sleep(days=7)
        refresh(shop)
    assert faded == [(8, 2), (4, 1), (2, 0.5)]
    assert trials(shop) == 0


def test_a_changed_half_life_acts_at_once(start: StartShop) -> None:
    shop = start(half_life_days=1)
    ask(shop, 8)
    shop.settle()
    shop.sleep(days=3)
    refresh(shop)
    assert trials(shop) == 1
    shop.store.put_slot("shop", Slot("home", half_life_days=None))
    shop.refresh()
    assert trials(shop) == 8


def test_seeds_are_evidence_from_the_next_refresh_until_they_are_removed(start: StartShop) -> None:
    shop = start()
    before = chances(shop)
    seeds = [Seed("h", "pune", f"b{number}", 500, 100 if number == 2 else 5) for number in (1, 2, 3)]
    shop.store.put_seeds("shop", "home", "h", seeds)
    assert chances(shop) == before
    shop.refresh()
    assert chances(shop)["b2"] > 0.9
    assert (explained(shop)["b2"]["trials"], explained(shop)["b2"]["clicks"]) == (500, 100)
    assert trials(shop, "mumbai") == 0
    shop.store.delete_seeds("shop", "home", "h")
    shop.refresh()
    assert trials(shop) == 0
    assert max(chances(shop).values()) < 0.5


# --- cities share strength ---


def test_a_city_without_evidence_starts_from_what_the_slot_knows(start: StartShop) -> None:
    shop = start()
    teach(shop, *[(city, f"b{n}", 3000, 150 if n == 2 else 30) for n in (1, 2, 3) for city in ("pune", "mumbai")])
    assert chances(shop, "new-delhi")["b2"] > 0.95
    assert chances(shop, "nowhere")["b2"] > 0.95
    unseen = explained(shop, "new-delhi")["b2"]
    assert (unseen["trials"], unseen["clicks"]) == (0, 0)
    assert unseen["borrowed_trials"] > 100
    assert unseen["mean"] == pytest.approx(0.05, rel=0.2)
    assert unseen["mean"] == pytest.approx(unseen["slot_mean"])
    assert unseen["low"] < unseen["mean"] < unseen["high"]


def test_a_city_with_much_evidence_speaks_for_itself(start: StartShop) -> None:
    shop = start(banners=2)
    liked = {"pune": "b1", "mumbai": "b2", "new-delhi": "b2"}
    teach(shop, *[(city, b, 20_000, 1200 if b == liked[city] else 400) for city in liked for b in ("b1", "b2")])
    assert chances(shop, "pune")["b1"] > 0.99
    assert chances(shop, "mumbai")["b2"] > 0.99
    own = explained(shop, "pune")["b1"]
    assert own["mean"] == pytest.approx(0.06, rel=0.05)
    assert own["borrowed_trials"] < own["trials"] / 20
    # Of a city nobody has seen, all that is known is that cities differ.
    unseen = explained(shop, "_other")["b1"]
    assert unseen["high"] - unseen["low"] > 5 * (own["high"] - own["low"])


def test_what_one_city_clicks_reaches_the_choices_of_the_others(start: StartShop) -> None:
    shop = start(banners=2)
    rng = random.Random(2)
    for _ in range(15):
        visit(shop, rng, {"pune": {"b1": 0.15, "b2": 0.02}}, 200)
        shop.settle()
    assert chances(shop, "mumbai")["b1"] > 0.8


# --- new banners ---


def test_a_new_banner_starts_from_the_slots_banners_and_takes_no_more_than_its_share(start: StartShop) -> None:
    shop = start(banners=3, new_banner_max_share=0.15, new_banner_trials=500)
    teach(shop, *[("pune", f"b{number}", 5000, 10 * number) for number in (1, 2, 3)])
    before = explained(shop)
    shop.put_banner("b4", weight=100.0)  # worth so much that it would take everything
    shop.refresh()
    after = explained(shop)
    assert after["b4"]["probability"] == pytest.approx(0.15)
    assert (after["b4"]["is_new"], after["b1"]["is_new"]) == (True, False)
    assert after["b4"]["mean"] == pytest.approx(60 / 15_000, rel=0.05)
    for banner in ("b1", "b2", "b3"):
        assert (after[banner]["trials"], after[banner]["clicks"]) == (5000, before[banner]["clicks"])
    for pune, mumbai, chance in ((499, 0, 0.15), (499, 1000, 0.996)):
        more = [Seed("more", "pune", "b4", pune, 2), Seed("more", "mumbai", "b4", mumbai, 0)]
        shop.store.put_seeds("shop", "home", "more", more)
        refresh(shop)
        assert chances(shop)["b4"] == pytest.approx(chance, abs=0.001)
    assert not explained(shop)["b4"]["is_new"]


def test_a_banner_stays_known_when_its_evidence_has_faded(start: StartShop) -> None:
    shop = start(banners=2, half_life_days=1, new_banner_trials=100)
    for answer in ask(shop, 250)[:40]:
        shop.click(answer["token"])
    shop.settle()
    shop.sleep(days=10)
    refresh(shop)
    assert trials(shop) < 1
    assert [row["is_new"] for row in explained(shop).values()] == [False, False]


def test_a_new_slot_holds_none_of_its_banners_back(start: StartShop) -> None:
    shop = start(banners=2, new_banner_max_share=0.1)
    shop.put_banner("b1", weight=100.0)
    shop.refresh()
    assert chances(shop)["b1"] > 0.9


# --- extremes: a warning would be an error ---


def test_eighty_banners_and_ten_million_trials_without_a_click_leave_everybody_a_chance(start: StartShop) -> None:
    shop = start(banners=80)
    teach(shop, ("pune", "b1", 10_000_000, 0), ("mumbai", "b2", 1, 0))
    for city in ("pune", "mumbai", "new-delhi", "nowhere"):
        known = explained(shop, city)
        assert sum(row["probability"] for row in known.values()) == pytest.approx(1, abs=1e-12)
        assert all(row["probability"] > 0 and row["low"] <= row["mean"] <= row["high"] for row in known.values())
        assert np.isfinite([row["borrowed_trials"] for row in known.values()]).all()


@pytest.mark.parametrize("clicks", [0, 300_000])
def test_all_banners_but_one_may_be_paused(start: StartShop, clicks: int) -> None:
    shop = start(banners=5, holdout_share=0.5)
    teach(shop, ("pune", "b1", 10_000_000, clicks))
    for number in range(2, 6):
        shop.put_banner(f"b{number}", enabled=False)
    shop.refresh()
    for city in ("pune", "nowhere"):
        assert chances(shop, city) == {"b1": 1.0, "b2": 0, "b3": 0, "b4": 0, "b5": 0}
    assert {(answer["banner"], answer["propensity"]) for answer in ask(shop, 20)} == {("b1", 1.0)}

"""What is chosen, as a storefront sees it: through HTTP calls and nothing else.

All seeds are fixed. Each tolerance says how often another seed would break it.
"""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from bandit.model import Banner, Role, Slot, Tenant
from serving.keys import new_key
from tests.serving.taught_shop import (
    FIVE_SD,
    ONE_IN_A_MILLION,
    StartShop,
    ask,
    chances,
    five_sd,
    share,
    teach,
)

# --- what is served is what was computed ---


def test_banners_are_served_with_the_probabilities_that_are_logged(start: StartShop) -> None:
    shop = start(banners=5)
    teach(shop, *[("pune", f"b{number}", 400, 8 + number) for number in range(1, 6)])
    expected = chances(shop)
    answers = ask(shop, 10_000)
    assert {(answer["banner"], answer["propensity"]) for answer in answers} == set(expected.items())
    served = Counter(answer["banner"] for answer in answers)
    times = [10_000 * chance for chance in expected.values()]
    assert chisquare([served[banner] for banner in expected], times).pvalue > ONE_IN_A_MILLION


def test_the_mean_of_one_over_propensity_is_the_number_of_eligible_banners(start: StartShop) -> None:
    shop = start(banners=10, exploration_share=0.2)
    shop.put_banner("b10", enabled=False)
    teach(shop, *[("pune", f"b{number}", 1000, 10 * number) for number in range(1, 10)])
    probabilities = [chance for chance in chances(shop).values() if chance]
    assert len(probabilities) == 9
    weights = np.array([1 / answer["propensity"] for answer in ask(shop, 10_000)])
    sd = float(np.sqrt(sum(1 / chance for chance in probabilities) - 9**2))
    assert weights.mean() == pytest.approx(9, abs=FIVE_SD * sd / 100)


def test_every_eligible_banner_keeps_a_chance_and_they_sum_to_one(start: StartShop) -> None:
    shop = start(banners=10)
    teach(shop, *[("pune", f"b{number}", 5000, 150 if number == 1 else 0) for number in range(1, 11)])
    known = chances(shop)
    assert sum(known.values()) == pytest.approx(1, abs=1e-12)
    assert known["b1"] > 0.99
    assert [known[f"b{number}"] for number in range(2, 11)] == [pytest.approx(0.005 / 10)] * 9


def test_floors_and_ceilings_hold_in_what_is_served_and_in_what_is_logged(start: StartShop) -> None:
    shop = start(banners=4)
    shop.put_banner("b1", min_share=0.2)
    shop.put_banner("b2", max_share=0.5)
    teach(shop, *[("pune", f"b{number}", 5000, 500 if number == 2 else 5) for number in range(1, 5)])
    known = chances(shop)
    assert known["b1"] >= 0.2 - 1e-12
    assert known["b2"] == pytest.approx(0.5)
    assert sum(known.values()) == pytest.approx(1)
    answers = ask(shop, 5000)
    for banner, chance in known.items():
        assert {answer["propensity"] for answer in answers if answer["banner"] == banner} <= {chance}
        # Four banners: another seed fails in fewer than four cases of a million.
        assert share(answers, banner) == pytest.approx(chance, abs=five_sd(chance, 5000))


def test_a_click_that_is_worth_more_may_be_rarer(start: StartShop) -> None:
    shop = start(banners=2)
    teach(shop, ("pune", "b1", 20_000, 800), ("pune", "b2", 20_000, 400))
    assert chances(shop)["b1"] > 0.99
    shop.put_banner("b2", weight=3.0)
    shop.refresh()
    assert chances(shop)["b2"] > 0.99


# --- the holdout ---


def test_the_holdout_is_a_stable_share_of_customers_in_every_slot_and_city(start: StartShop) -> None:
    shop = start(holdout_share=0.3)
    shop.store.put_slot("shop", Slot("cart", holdout_share=0.3))
    for number in range(1, 4):
        shop.put_banner(f"b{number}", slot="cart")
    shop.refresh()

    def held_out(**query: str) -> set[int]:
        policies = [shop.banner(customer_id=f"c-{number}", **query).json["policy"] for number in range(2000)]
        assert set(policies) == {"holdout", "learned"}
        return {number for number, policy in enumerate(policies) if policy == "holdout"}

    first = held_out()
    assert len(first) / 2000 == pytest.approx(0.3, abs=five_sd(0.3, 2000))
    assert held_out(city="mumbai") == first
    assert held_out(slot="cart") == first


def test_who_is_held_out_by_one_tenant_says_nothing_about_another(start: StartShop) -> None:
    shop = start(banners=2, holdout_share=0.5)
    key, text = new_key("mall", Role.SERVER, shop.now)
    shop.store.put_tenant("mall", Tenant("mall"))
    shop.store.put_slot("mall", Slot("home", holdout_share=0.5))
    for number in (1, 2):
        shop.store.put_banner("mall", Banner("home", f"b{number}", "/b.png", "https://mall.example/"))
    shop.store.put_key(key)
    shop.refresh()

    def is_held_out(number: int, key: str) -> bool:
        return bool(shop.banner(key, customer_id=f"c-{number}").json["policy"] == "holdout")

    here, there = ([is_held_out(number, key) for number in range(1000)] for key in ("server", text))
    # The correlation of independent values has a standard deviation of 1 / sqrt(1000).
    assert abs(np.corrcoef(here, there)[0, 1]) < FIVE_SD / 1000**0.5


def test_within_the_holdout_all_banners_are_alike(start: StartShop) -> None:
    shop = start(banners=4, holdout_share=0.5)
    teach(shop, *[("pune", f"b{number}", 5000, 500 if number == 2 else 5) for number in range(1, 5)])
    answers = ask(shop, 6000)
    held_out = [answer for answer in answers if answer["policy"] == "holdout"]
    # Visitors without a customer id are drawn by impression.
    assert len(held_out) / 6000 == pytest.approx(0.5, abs=five_sd(0.5, 6000))
    assert {(answer["propensity"], answer["reason"]) for answer in held_out} == {(0.25, "holdout")}
    served = Counter(answer["banner"] for answer in held_out)
    assert chisquare([served[f"b{number}"] for number in range(1, 5)]).pvalue > ONE_IN_A_MILLION


def test_a_pinned_banner_is_pinned_for_the_holdout_too(start: StartShop) -> None:
    shop = start(holdout_share=0.5, pinned_banner="b2")
    assert {(answer["banner"], answer["policy"]) for answer in ask(shop, 50)} == {("b2", "fixed")}

"""POST /page: several slots of one page in one call, no banner twice, one answer each."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import chisquare

from bandit.model import Policy, Seed, Slot, Verdict
from serving.page import choose_apart
from serving.token import verify
from tests.installation import BROWSER, Installation, Reply
from tests.serving.asking import cell
from web.hot_description import DECISION

KIB = 1024
ONE_IN_A_MILLION = 1e-6
TEXT = {"Content-Type": "text/plain;charset=UTF-8"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    """Slots `home` of b1, b2, b3, `cart` of b1, b2 and `side` of b4."""
    installation = Installation(tmp_path)
    add_slot(installation, Slot("cart"), "b1", "b2")
    add_slot(installation, Slot("side"), "b4")
    yield installation
    installation.close()


def add_slot(shop: Installation, slot: Slot, *banners: str) -> None:
    shop.store.put_slot("shop", slot)
    for banner in banners:
        shop.put_banner(banner, slot=slot.id)
    shop.refresh()


def page(shop: Installation, *slots: str, key: str | None = "server", **fields: str) -> Reply:
    return shop.call("POST", "/page", key=key, json={"slots": slots, **fields})


def shown(reply: Reply) -> list[str | None]:
    return [result.get("banner") for result in reply.json["results"]]


def test_each_slot_has_the_answer_it_would_have_alone_in_order(shop: Installation) -> None:
    reply = page(shop, "side", "home", city="Poona", customer_id="c-1", referrer_id="mail")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    results = reply.json["results"]
    assert [(one["status"], one["slot"], one["city"]) for one in results] == [
        (200, "side", "pune"),
        (200, "home", "pune"),
    ]
    assert all(set(one) == {"status", *DECISION} for one in results)
    alone = shop.banner(city="Poona").json
    assert alone["click_url"].startswith("http://banner.example/go/")
    assert all(one["click_url"] == f"http://banner.example/go/{one['token']}" for one in results)


def test_no_banner_comes_twice_whatever_the_slots_have_in_common(shop: Installation) -> None:
    for _ in range(200):
        banners = shown(page(shop, "home", "cart", "side", "home"))
        assert None not in banners[:3] and len(set(banners)) == 4
    assert shown(page(shop, "home", "home", "home", "home")).count(None) == 1


def test_what_was_served_is_in_the_journal_and_the_token_with_the_same_propensity(shop: Installation) -> None:
    results = page(shop, "home", "cart", city="pune", customer_id="c-1").json["results"]
    events = {event.slot: event for event in shop.journaled()}
    assert len(events) == 2
    for result in results:
        token, event = verify(result["token"], shop.keyring), events[result["slot"]]
        assert token.counted and event.verdict == Verdict.ACCEPTED
        assert event.banner == token.banner == result["banner"]
        assert event.propensity == token.propensity == result["propensity"]
        assert event.customer == token.customer is not None


def test_views_and_clicks_of_a_page_count_where_it_was_served(shop: Installation) -> None:
    first, second = page(shop, "home", "cart").json["results"]
    shop.sleep(seconds=1)
    shop.view(first["token"])
    shop.click(second["token"])
    shop.settle()
    assert (shop.totals("home"), shop.totals("cart")) == ((1, 1, 0), (1, 1, 1))


def test_a_pinned_banner_stays_where_it_is_pinned(shop: Installation) -> None:
    shop.store.put_slot("shop", Slot("cart", pinned_banner="b1"))
    shop.refresh()
    for _ in range(50):
        home, cart = page(shop, "home", "cart").json["results"]
        assert (cart["banner"], cart["reason"], cart["propensity"]) == ("b1", "pinned", 1)
        assert home["banner"] in {"b2", "b3"}


def test_an_unknown_slot_or_platform_leaves_the_others_their_banners(shop: Installation) -> None:
    shop.store.put_slot("shop", Slot("tv", platforms=("tv",)))
    shop.refresh()
    results = page(shop, "nowhere", "home", "tv", platform="web").json["results"]
    assert [result["status"] for result in results] == [404, 200, 404]
    assert [result["error"]["field"] for result in results if "error" in result] == ["slot", "platform"]
    assert len(shop.journaled()) == 1


def test_with_nothing_to_show_a_slot_says_so(shop: Installation) -> None:
    shop.store.put_slot("shop", Slot("side", enabled=False))
    shop.refresh()
    assert page(shop, "side", "nowhere").json["results"][0] == {"status": 204}


# --- probabilities ---


def two_lists(shop: Installation, count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    pages = [page(shop, "home", "home", city="pune").json["results"] for _ in range(count)]
    return [(first, second) for first, second in pages]


def test_the_second_choice_is_drawn_with_the_propensity_that_is_logged(shop: Installation) -> None:
    """Chi-square over the pairs against the product of both propensities: fails once in a million seeds."""
    shop.store.put_seeds("shop", "home", "h", [Seed("h", "pune", "b1", 300, 15), Seed("h", "pune", "b2", 300, 12)])
    shop.refresh()
    pages = two_lists(shop, 4000)
    pairs = Counter((first["banner"], second["banner"]) for first, second in pages)
    expected = {
        (first["banner"], second["banner"]): first["propensity"] * second["propensity"] for first, second in pages
    }
    chances = {pair: chance for pair, chance in expected.items() if chance * len(pages) >= 5}
    observed = [pairs[pair] for pair in chances]
    scale = sum(observed) / sum(chances.values())
    assert len(chances) >= 4
    assert chisquare(observed, [chance * scale for chance in chances.values()]).pvalue > ONE_IN_A_MILLION


def test_given_the_page_so_far_the_propensities_of_the_rest_sum_to_one(shop: Installation) -> None:
    pages = two_lists(shop, 500)
    for taken in ("b1", "b2", "b3"):
        rest = {second["banner"]: second["propensity"] for first, second in pages if first["banner"] == taken}
        assert len(rest) == 2 and sum(rest.values()) == pytest.approx(1)


def test_the_mean_of_one_over_the_propensity_is_the_number_that_still_competed(tmp_path: Path) -> None:
    """Weighting by it is unbiased. At an exploration share of 0.5 over three banners 1/propensity is below 6, so
    5 standard errors of 4,000 pages are below 0.5; wrong once in a million seeds."""
    shop = Installation(tmp_path, slot=Slot("home", exploration_share=0.5))
    shop.store.put_seeds("shop", "home", "h", [Seed("h", "pune", "b1", 300, 30)])
    shop.refresh()
    pages = two_lists(shop, 4000)
    for place, competing in ((0, 3), (1, 2)):
        mean = sum(1 / results[place]["propensity"] for results in pages) / len(pages)
        assert mean == pytest.approx(competing, abs=0.5)
    shop.close()


def test_events_name_the_banners_that_could_still_be_chosen(shop: Installation) -> None:
    first, second = page(shop, "home", "home").json["results"]
    chosen = {event.banner: event.eligible for event in shop.journaled()}
    assert chosen[first["banner"]] == "b1 b2 b3"
    assert set((chosen[second["banner"]] or "").split()) == {"b1", "b2", "b3"} - {first["banner"]}


def test_a_slot_in_shadow_shows_its_default_and_nobody_else_does(shop: Installation) -> None:
    shop.store.put_slot("shop", Slot("cart", shadow=True, default_banner="b1"))
    shop.refresh()
    for _ in range(20):
        home, cart, again = page(shop, "home", "cart", "cart").json["results"]
        assert (cart["banner"], cart["reason"], again) == ("b1", "shadow", {"status": 204})
        assert home["banner"] in {"b2", "b3"}
    shop.store.put_slot("shop", Slot("cart", shadow=True))
    shop.refresh()
    assert page(shop, "cart").json["results"] == [{"status": 204}]


def test_a_page_is_learned_or_holdout_as_a_whole(shop: Installation) -> None:
    for slot in ("home", "cart"):
        shop.store.put_slot("shop", Slot(slot, holdout_share=0.5))
    shop.refresh()
    policies = Counter(
        tuple(one["policy"] for one in page(shop, "home", "cart", **customer).json["results"])
        for number in range(100)
        for customer in ({}, {"customer_id": f"c-{number}"})
    )
    assert set(policies) == {(Policy.LEARNED, Policy.LEARNED), (Policy.HOLDOUT, Policy.HOLDOUT)}
    holdout = next(one for one in iter(lambda: page(shop, "home", "cart").json["results"], None)
                   if one[0]["policy"] == Policy.HOLDOUT)  # fmt: skip
    # `cart` has fewer banners, hence chose first; its choice is one of the three of `home`.
    assert [one["propensity"] for one in holdout] == [1 / 2, 1 / 2]


def test_a_banner_without_a_chance_is_not_drawn_when_the_others_are_taken(shop: Installation) -> None:
    shop.put_banner("b3", max_share=0.0)
    shop.refresh()
    known = cell(shop)
    rng = random.Random(1)
    for _ in range(50):
        banners = [choice and choice.banner.id for choice in choose_apart([known] * 3, [None] * 3, 1.0, rng.random)]
        assert sorted(banners[:2], key=str) == ["b1", "b2"] and banners[2] is None


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-53])
def test_every_draw_falls_on_a_banner(shop: Installation, number: float) -> None:
    choices = choose_apart([cell(shop)] * 3, [None] * 3, 1.0, lambda: number)
    assert {choice.banner.id for choice in choices if choice} == {"b1", "b2", "b3"}


# --- bodies, keys and browsers ---


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"[]", 400, None),
        (b"{}", 400, "slots"),
        (b'{"slots": []}', 400, "slots"),
        (b'{"slots": "home"}', 400, "slots"),
        (b'{"slots": [1]}', 400, "slots"),
        (b'{"slots": ["ho\\u0000me"]}', 400, "slots"),
        (b'{"slots": [["home"]]}', 400, "slots"),
        (b'{"slots": ["home"], "slot": "home"}', 400, "slot"),
        (b'{"slots": ["home"], "key": "x"}', 400, "key"),
        (b'{"slots": ["home"], "banner": "b1"}', 400, "banner"),
        (b'{"slots": ["home"], "city": 5}', 400, "city"),
        (b'{"slots": ["home"], "client_ip": "somewhere"}', 400, "client_ip"),
        (b'{"slots": ["home"], "slots": ["home"]}', 400, "slots"),
        (b'{"slots": [' + b'"home",' * 20 + b'"home"]}', 400, "slots"),
        (b'{"slots": ["home"]' + b" " * 16 * KIB + b"}", 413, None),
    ],
)
def test_a_wrong_body_is_refused(shop: Installation, body: bytes, status: int, field: str | None) -> None:
    reply = shop.call("POST", "/page", body=body)
    assert (reply.status, reply.json["error"]["field"]) == (status, field)
    assert shop.journaled() == []


@pytest.mark.parametrize("wrong", [{"customer_id": 42}, {"customer_id": None}, {"city": 5}, {"referrer_id": 5}])
def test_a_field_that_is_no_text_is_told_to_be_one(shop: Installation, wrong: dict[str, Any]) -> None:
    error = shop.call("POST", "/page", json={"slots": ["home"], **wrong}).json["error"]
    (field,) = wrong
    assert error["field"] == field and error["message"].startswith(f"{field} must be text of ")


@pytest.mark.parametrize(("query", "field"), [("slot=home", "slot"), ("key=a&key=b", "key"), ("explain=1", "explain")])
def test_the_address_holds_a_key_and_nothing_else(shop: Installation, query: str, field: str) -> None:
    reply = shop.call("POST", f"/page?{query}", json={"slots": ["home"]})
    assert (reply.status, reply.json["error"]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), ("nonsense", 401), ("serve", 200), ("server", 200), ("read", 403), ("admin", 403)]
)
def test_only_serve_and_server_keys_are_served(shop: Installation, key: str | None, status: int) -> None:
    assert page(shop, "home", key=key).status == status


def test_a_browser_needs_no_permission_beforehand(shop: Installation) -> None:
    """Key in the address, a body of text/plain and no header of ours: a simple request."""
    headers = {"Origin": "https://shop.example", "User-Agent": BROWSER, **TEXT}
    body = b'{"slots": ["home"]}'
    reply = shop.call("POST", f"/page?key={shop.keys['serve']}", key=None, body=body, headers=headers)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    headers["Origin"] = "https://evil.example"
    reply = shop.call("POST", f"/page?key={shop.keys['serve']}", key=None, body=body, headers=headers)
    assert reply.status == 403 and "access-control-allow-origin" not in reply.headers


def test_only_a_back_end_may_speak_for_a_visitor(shop: Installation) -> None:
    refused = page(shop, "home", key="serve", user_agent=BROWSER)
    assert (refused.status, refused.json["error"]["field"]) == (400, "user_agent")
    assert page(shop, "home", user_agent=BROWSER, client_ip="198.51.100.1").status == 200


def test_through_flask_the_answer_is_the_same(shop: Installation) -> None:
    shop.app.door_first = False
    assert shown(page(shop, "side")) == ["b4"]
    assert page(shop, "home", key=None).status == 401
    assert shop.call("GET", "/page").headers["allow"] == "POST, OPTIONS"


def test_a_full_journal_still_serves_and_says_what_does_not_count(tmp_path: Path) -> None:
    shop = Installation(tmp_path, max_journal_bytes=2_000)
    results: Sequence[dict[str, Any]] = []
    pages = -1
    while not results or results[-1]["recorded"]:
        results, pages = page(shop, "home", "home").json["results"], pages + 1
    assert not any(one["recorded"] or verify(one["token"], shop.keyring).counted for one in results)
    assert len(shop.journaled()) == 2 * pages > 0
    shop.close()


def test_where_one_more_impression_would_fit_a_page_is_not_recorded_in_part(tmp_path: Path) -> None:
    shop = Installation(tmp_path, max_journal_bytes=300)
    results = page(shop, "home", "home", "home").json["results"]
    assert [one["recorded"] for one in results] == [False] * 3
    assert not any(verify(one["token"], shop.keyring).counted for one in results)
    assert shop.banner().json["recorded"]
    assert len(shop.journaled()) == 1
    shop.close()

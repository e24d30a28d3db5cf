"""GET /banner as a storefront and a browser see it."""

from datetime import timedelta

import pytest

from bandit.model import Slot, Verdict
from serving.token import verify
from tests.installation import NOON_IN_INDIA, Installation
from tests.web.hot_calls import HotCalls, ThroughFlask, ThroughTheDoor


class Banners(HotCalls):
    """Through both entries."""

    def test_a_banner_comes_with_all_that_a_page_needs(self, shop: Installation) -> None:
        reply = shop.banner(city="Bombay", customer_id="c-1", referrer_id="mail")
        answer = reply.json
        assert reply.status == 200
        assert answer["banner"] in {"b1", "b2", "b3"}
        assert answer["city"] == "mumbai"
        assert answer["image_url"] == f"http://banner.example/media/shop/{answer['banner']}.png"
        assert answer["landing_url"] == f"https://shop.example/{answer['banner']}"
        assert answer["click_url"] == f"http://banner.example/go/{answer['token']}"
        assert answer["served_at"] == "2026-11-23T12:00:00.000000+05:30"
        assert (answer["policy"], answer["reason"], answer["recorded"]) == ("learned", "learned", True)
        assert reply.headers["cache-control"] == "no-store"

    def test_the_token_says_what_was_served_and_the_journal_the_same(self, shop: Installation) -> None:
        answer = shop.banner(city="pune", customer_id="c-1", referrer_id="mail", platform="web").json
        token = verify(answer["token"], shop.keyring)
        (event,) = shop.journaled()
        assert token.counted and event.verdict == Verdict.ACCEPTED
        assert (token.tenant, token.slot, token.city, token.banner) == ("shop", "home", "pune", answer["banner"])
        assert (event.tenant, event.slot, event.city, event.banner) == ("shop", "home", "pune", answer["banner"])
        assert token.propensity == event.propensity == answer["propensity"]
        assert token.customer == event.customer and event.customer is not None
        assert token.served_at == event.served_at == event.received_at == shop.clock_us()
        assert (token.referrer, event.referrer, event.platform) == ("mail", "mail", "web")

    def test_the_customer_is_kept_only_as_a_hash(self, shop: Installation) -> None:
        shop.banner(customer_id="asha@example.org")
        assert not [path for path in shop.directory.rglob("*") if path.is_file() and b"asha" in path.read_bytes()]

    def test_an_unknown_city_is_counted_as_other_and_its_name_kept_aside(self, shop: Installation) -> None:
        assert shop.banner(city="Atlantis").json["city"] == "_other"
        assert shop.banner().json["city"] == "_unknown"
        shop.settle()
        assert shop.store.unrecognised_cities("shop") == [("Atlantis", 1)]

    def test_nothing_eligible_is_204_unless_there_is_a_default(self, shop: Installation) -> None:
        for number in (1, 2, 3):
            shop.put_banner(f"b{number}", cities=("pune",))
        shop.refresh()
        assert shop.banner(city="mumbai").status == 204
        shop.store.put_slot("shop", Slot("home", default_banner="b2"))
        shop.refresh()
        answer = shop.banner(city="mumbai").json
        assert (answer["banner"], answer["policy"], answer["reason"]) == ("b2", "fixed", "default")
        assert answer["propensity"] == 1

    def test_a_pinned_banner_is_always_shown_and_a_paused_one_never(self, shop: Installation) -> None:
        shop.store.put_slot("shop", Slot("home", pinned_banner="b2"))
        shop.refresh()
        answers = [shop.banner().json for _ in range(20)]
        assert {(one["banner"], one["reason"], one["propensity"]) for one in answers} == {("b2", "pinned", 1.0)}
        shop.put_banner("b2", enabled=False)
        shop.refresh()
        assert "b2" not in {shop.banner().json["banner"] for _ in range(50)}

    def test_a_schedule_begins_and_ends_to_the_second(self, shop: Installation) -> None:
        shop.put_banner("b1", starts_at=NOON_IN_INDIA + timedelta(seconds=1))
        shop.put_banner("b2", ends_at=NOON_IN_INDIA + timedelta(seconds=1))
        shop.put_banner("b3", enabled=False)
        shop.refresh()
        assert shop.banner().json["banner"] == "b2"
        shop.sleep(seconds=1)
        assert shop.banner().json["banner"] == "b1"

    @pytest.mark.parametrize(
        ("query", "status", "field"),
        [
            ("", 400, "slot"),
            ("slot=", 400, "slot"),
            ("slot=nowhere", 404, "slot"),
            ("slot=home&platform=tv", 404, "platform"),
            ("slot=home&colour=red", 400, "colour"),
            ("slot=home&slot=home", 400, "slot"),
            ("slot=ho%00me", 400, "slot"),
            ("slot=home%0a", 400, "slot"),
            ("slot=_other", 400, "slot"),
            ("slot=home&city=%ff", 400, "city"),
            ("slot=home&%ff=1", 400, "\ufffd"),
            ("slot=home&city=a%07b", 400, "city"),
            (f"slot=home&city={'x' * 65}", 400, "city"),
            (f"slot=home&customer_id={'x' * 129}", 400, "customer_id"),
            (f"slot=home&referrer_id={'x' * 33}", 400, "referrer_id"),
            ("slot=home&referrer_id=%C3%A9", 400, "referrer_id"),
            ("slot=home&client_ip=somewhere", 400, "client_ip"),
            ("slot=home&explain=yes", 400, "explain"),
            ("slot=home&%00=1", 400, "?"),
        ],
    )
    def test_a_wrong_parameter_is_named(self, shop: Installation, query: str, status: int, field: str | None) -> None:
        reply = shop.call("GET", f"/banner?{query}")
        assert (reply.status, reply.json["error"]["field"]) == (status, field)
        assert shop.journaled() == []

    @pytest.mark.parametrize(
        ("key", "status"),
        [
            (None, 401),
            ("bk_000000000000_00", 401),
            ("nonsense", 401),
            ("serve", 200),
            ("server", 200),
            ("read", 403),
            ("admin", 403),
            ("operator", 403),
        ],
    )
    def test_only_serve_and_server_keys_are_served(self, shop: Installation, key: str | None, status: int) -> None:
        reply = shop.banner(key)
        assert reply.status == status
        assert status != 401 or reply.headers["www-authenticate"] == "Bearer"

    def test_only_a_serve_key_may_stand_in_the_address(self, shop: Installation) -> None:
        assert shop.call("GET", f"/banner?slot=home&key={shop.keys['serve']}", key=None).status == 200
        reply = shop.call("GET", f"/banner?slot=home&key={shop.keys['server']}", key=None)
        assert (reply.status, reply.json["error"]["field"]) == (403, "key")

    def test_a_foreign_page_may_not_use_a_serve_key(self, shop: Installation) -> None:
        assert shop.banner("serve").status == 200
        stranger = shop.call("GET", "/banner?slot=home", key="serve", headers={"Origin": "https://evil.example"})
        assert stranger.status == 403 and "access-control-allow-origin" not in stranger.headers
        friend = shop.call("GET", "/banner?slot=home", key="serve", headers={"Origin": "https://shop.example"})
        assert friend.status == 200 and friend.headers["access-control-allow-origin"] == "https://shop.example"
        assert shop.call("GET", "/banner?slot=home", headers={"Origin": "https://evil.example"}).status == 200

    def test_a_preflight_is_answered_for_known_origins(self, shop: Installation) -> None:
        known = shop.call("OPTIONS", "/banner", key=None, headers={"Origin": "https://shop.example"})
        assert known.status == 204 and "Authorization" in known.headers["access-control-allow-headers"]
        unknown = shop.call("OPTIONS", "/click", key=None, headers={"Origin": "https://evil.example"})
        assert unknown.status == 204 and "access-control-allow-origin" not in unknown.headers

    def test_a_bot_is_served_and_does_not_count(self, shop: Installation) -> None:
        answer = shop.call("GET", "/banner?slot=home", key="serve", headers={"User-Agent": "Googlebot/2.1"}).json
        assert answer["recorded"] and not verify(answer["token"], shop.keyring).counted
        assert shop.click(answer["token"]).status == 202
        shop.settle()
        assert shop.totals() == (0, 0, 0)

    @pytest.mark.parametrize("field", ["user_agent", "client_ip"])
    def test_only_a_back_end_may_speak_for_a_visitor(self, shop: Installation, field: str) -> None:
        value = {"user_agent": "curl/8", "client_ip": "10.0.0.1"}[field]
        refused = shop.banner("serve", **{field: value})
        assert (refused.status, refused.json["error"]["field"]) == (400, field)
        assert shop.banner("server", **{field: value}).status == 200

    def test_explaining_shows_every_banner_and_records_nothing(self, shop: Installation) -> None:
        shop.put_banner("b2", enabled=False)
        shop.refresh()
        reply = shop.banner("read", city="pune", explain="1")
        rows = {row["banner"]: row for row in reply.json["banners"]}
        assert reply.status == 200 and set(rows) == {"b1", "b2", "b3"}
        assert rows["b2"]["why_not"] == "paused" and rows["b2"]["probability"] == 0
        assert sum(row["probability"] for row in rows.values()) == pytest.approx(1)
        assert all(row["low"] < row["mean"] < row["high"] for row in rows.values())
        assert shop.banner("server", explain="1").status == 403
        assert shop.journaled() == []

    def test_explaining_a_disabled_slot_says_that_it_is(self, shop: Installation) -> None:
        shop.store.put_slot("shop", Slot("home", enabled=False, default_banner="b1"))
        shop.refresh()
        rows = shop.banner("read", explain="1").json["banners"]
        assert {row["why_not"] for row in rows} == {"the slot is disabled"}


class TestThroughTheDoor(ThroughTheDoor, Banners):
    pass


class TestThroughFlask(ThroughFlask, Banners):
    pass

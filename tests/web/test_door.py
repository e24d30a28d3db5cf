"""The hot calls as a storefront and a browser see them, through the door and through Flask: no difference."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bandit.model import Banner, Slot, Verdict
from serving.token import Token, sign, verify
from tests.backends import Backend, Embedded
from tests.installation import BROWSER, NOON_IN_INDIA, Installation
from web.visitors import Visitors

KIB = 1024


def _unload(shop: Installation) -> None:
    """As it is at the start, while neither store nor saved file could be read."""
    shop.snapshot.configuration = None
    shop.snapshot._views.clear()


class HotCalls:
    """Every test here runs through both entries."""

    door_first: bool

    @pytest.fixture
    def shop(self, tmp_path: Path, backend: Backend) -> Iterator[Installation]:
        installation = Installation(tmp_path, backend=backend)
        installation.app.door_first = self.door_first
        yield installation
        installation.close()

    # --- GET /banner ---

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

    # --- POST /click and /view ---

    def test_a_click_and_its_view_count_once_however_often_they_are_sent(self, shop: Installation) -> None:
        token = shop.banner(city="pune").json["token"]
        shop.sleep(seconds=5)
        assert [shop.click(token).status for _ in range(3)] == [202] * 3
        assert [shop.view(token, key=None, headers={"User-Agent": BROWSER}).status for _ in range(3)] == [202] * 3
        shop.settle()
        assert shop.totals() == (1, 1, 1)

    def test_a_click_counts_where_its_impression_was_served(self, shop: Installation) -> None:
        answer = shop.banner(city="pune").json
        shop.click(answer["token"])
        shop.settle()
        (row,) = shop.counts()
        assert (row.city, row.banner, row.clicks) == ("pune", answer["banner"], 1)

    def test_a_click_belongs_to_the_day_of_its_impression(self, shop: Installation) -> None:
        shop.sleep(hours=11, minutes=59, seconds=59)
        token = shop.banner().json["token"]
        shop.sleep(seconds=2)
        shop.click(token)
        shop.banner()
        shop.settle()
        by_day = {row.day: (row.served, row.clicks) for row in shop.counts() if row.clicks}
        assert len({row.day for row in shop.counts()}) == 2
        assert by_day == {min(row.day for row in shop.counts()): (1, 1)}

    @pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x-www-form-urlencoded"])
    def test_a_beacon_may_send_any_content_type(self, shop: Installation, kind: str) -> None:
        token = shop.banner().json["token"]
        assert shop.click(token, key=None, headers={"Content-Type": kind, "User-Agent": BROWSER}).status == 202

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            (b"", 400, None),
            (b"[]", 400, None),
            (b"{}", 400, "token"),
            (b'{"token": 5}', 400, "token"),
            (b'{"token": null}', 400, "token"),
            (b'{"token": "x"}', 400, "token"),
            (b'{"token": "x", "token": "y"}', 400, "token"),
            (b'{"token": "x", "slot": "y"}', 400, "slot"),
            (b'{"token": "\\u0000"}', 400, "token"),
            (b'{"token": "\\ud800"}', 400, "token"),
            (b'{"token": NaN}', 400, "token"),
            (b'{"token": "\xff"}', 400, "token"),
            (b'{"token": ' + b"[" * 1000, 400, "token"),
            (b'{"token": ""}', 400, "token"),
            (b"[" * 1000, 400, None),
            (b'{"token": "' + b"x" * 400 + b'"}', 400, "token"),
            (b" " * (16 * KIB + 1), 413, None),
        ],
    )
    def test_a_wrong_body_is_refused(self, shop: Installation, body: bytes, status: int, field: str | None) -> None:
        reply = shop.call("POST", "/click", body=body)
        assert (reply.status, reply.json["error"]["field"]) == (status, field)

    def test_a_token_of_another_installation_is_refused(self, shop: Installation) -> None:
        answer = shop.banner().json
        ours = verify(answer["token"], shop.keyring)
        forged = sign(ours, replace(shop.keyring, token_keys={1: b"x" * 32}))
        assert shop.click(forged).status == 400
        assert shop.call("GET", f"/go/{forged}", key=None).status == 400

    def test_a_key_of_another_tenant_may_not_report_for_us(self, shop: Installation) -> None:
        theirs = Token(bytes(16), 1, 0, "learned", True, 0.5, None, "other", "home", "pune", "b1", None)
        reply = shop.click(sign(theirs, shop.keyring))
        assert (reply.status, reply.json["error"]["field"]) == (403, "token")

    @pytest.mark.parametrize(
        ("wait", "verdict"),
        [
            ({"seconds": 1}, Verdict.ACCEPTED),
            ({"milliseconds": 100}, Verdict.TOO_FAST),
            ({"days": 1, "seconds": 1}, Verdict.LATE),
            ({"minutes": -5}, Verdict.FUTURE),
        ],
    )
    def test_the_verdict_is_written_into_the_event(
        self, shop: Installation, wait: dict[str, float], verdict: Verdict
    ) -> None:
        token = shop.banner().json["token"]
        shop.sleep(**wait)
        assert shop.click(token, key=None, headers={"User-Agent": BROWSER}).status == 202
        assert [event.verdict for event in shop.journaled()] == [Verdict.ACCEPTED, verdict]

    # --- POST /events ---

    def test_a_batch_has_one_answer_each_in_order(self, shop: Installation) -> None:
        token = shop.banner().json["token"]
        events = [{"kind": "view", "token": token}, {"kind": "click", "token": "x"}, {"kind": "buy", "token": token}, 7]
        reply = shop.call("POST", "/events", json={"events": events})
        assert reply.status == 200
        assert [result["status"] for result in reply.json["results"]] == [202, 400, 400, 400]
        shop.settle()
        assert shop.totals() == (1, 1, 0)

    @pytest.mark.parametrize(
        ("key", "body", "status"),
        [
            (None, {"events": []}, 401),
            ("serve", {"events": []}, 403),
            ("server", {"events": []}, 200),
            ("server", {"events": {}}, 400),
            ("server", {"events": [], "more": 1}, 400),
            ("server", {"events": [{}] * 501}, 400),
        ],
    )
    def test_a_batch_takes_a_server_key_and_a_list(
        self, shop: Installation, key: str | None, body: object, status: int
    ) -> None:
        assert shop.call("POST", "/events", key=key, json=body).status == status

    # --- GET /go ---

    def test_a_click_url_counts_and_leads_on(self, shop: Installation) -> None:
        answer = shop.banner().json
        shop.sleep(seconds=1)
        reply = shop.call("GET", f"/go/{answer['token']}", key=None, headers={"User-Agent": BROWSER})
        assert (reply.status, reply.headers["location"]) == (302, answer["landing_url"])
        shop.settle()
        assert shop.totals() == (1, 1, 1)

    @pytest.mark.parametrize(
        ("method", "headers"),
        [
            ("HEAD", {}),
            ("GET", {"Sec-Purpose": "prefetch;prerender"}),
            ("GET", {"Purpose": "prefetch"}),
            ("GET", {"User-Agent": "Slackbot-LinkExpanding 1.0"}),
        ],
    )
    def test_a_look_ahead_is_led_on_and_not_counted(
        self, shop: Installation, method: str, headers: dict[str, str]
    ) -> None:
        token = shop.banner().json["token"]
        shop.sleep(seconds=1)
        reply = shop.call(method, f"/go/{token}", key=None, headers={"User-Agent": BROWSER} | headers)
        assert reply.status == 302
        shop.settle()
        assert shop.totals() == (1, 0, 0)

    def test_a_late_click_is_still_led_on(self, shop: Installation) -> None:
        token = shop.banner().json["token"]
        shop.sleep(days=3)
        assert shop.call("GET", f"/go/{token}", key=None, headers={"User-Agent": BROWSER}).status == 302
        shop.settle()
        assert shop.totals() == (1, 0, 0)

    def test_where_the_banner_is_gone_the_default_is_shown_else_410(self, shop: Installation) -> None:
        answer = shop.banner().json
        other = next(name for name in ("b1", "b2") if name != answer["banner"])
        shop.store.delete_banner("shop", "home", answer["banner"])
        shop.refresh()
        assert shop.call("GET", f"/go/{answer['token']}", key=None).status == 410
        shop.store.put_slot("shop", Slot("home", default_banner=other))
        shop.refresh()
        assert shop.call("GET", f"/go/{answer['token']}", key=None).headers["location"].endswith(other)

    @pytest.mark.parametrize("text", ["x", "%00", quote("../../etc"), "a/b", "é", "?url=https://evil.example"])
    def test_what_is_no_token_leads_nowhere(self, shop: Installation, text: str) -> None:
        reply = shop.call("GET", f"/go/{text}", key=None)
        assert reply.status in {400, 404} and "location" not in reply.headers

    # --- all of them ---

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "/banner"), ("GET", "/click"), ("PUT", "/view"), ("DELETE", "/events")]
    )
    def test_another_method_is_told_what_is_taken(self, shop: Installation, method: str, path: str) -> None:
        reply = shop.call(method, path)
        assert reply.status == 405 and reply.headers["allow"]

    def test_before_anything_is_loaded_what_needs_it_is_503(self, shop: Installation) -> None:
        token = shop.banner().json["token"]
        _unload(shop)
        for reply in (shop.banner(), shop.click(token), shop.call("POST", "/events", json={"events": []})):
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")

    def test_before_anything_is_loaded_the_feedback_of_browsers_counts(self, shop: Installation) -> None:
        first, second = (shop.banner().json["token"] for _ in range(2))
        _unload(shop)
        shop.sleep(seconds=1)
        visit: dict[str, Any] = {"key": None, "headers": {"User-Agent": BROWSER}}
        assert shop.click(first, **visit).status == shop.view(first, **visit).status == 202
        reply = shop.call("GET", f"/go/{second}", **visit)
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert shop.call("GET", "/go/x", key=None).status == 400
        shop.settle()
        assert shop.totals() == (2, 2, 2)

    def test_a_key_outlives_its_tenant_for_no_page(self, shop: Installation) -> None:
        configuration = shop.snapshot.configuration
        assert configuration is not None
        shop.snapshot.configuration = replace(configuration, tenants={})
        reply = shop.call("GET", "/banner?slot=home", key="serve", headers={"Origin": "https://shop.example"})
        assert reply.status == 403 and "access-control-allow-origin" not in reply.headers

    def test_new_origins_hold_after_a_refresh(self, shop: Installation) -> None:
        headers = {"Origin": "https://new.example"}
        assert "access-control-allow-origin" not in shop.call("OPTIONS", "/banner", headers=headers).headers
        tenant = shop.store.configuration().tenants["shop"]
        shop.store.put_tenant("shop", replace(tenant, origins=("https://new.example",)))
        shop.refresh()
        reply = shop.call("GET", "/banner?slot=home", key="serve", headers=headers)
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "https://new.example")

    @pytest.mark.parametrize("host", ["evil.example/path", 'a"b', "user@evil.example", ""])
    def test_what_can_be_no_host_is_not_repeated(self, shop: Installation, host: str) -> None:
        answer = shop.call("GET", "/banner?slot=home", headers={"Host": host}).json
        assert answer["click_url"] == f"http://banner.example:80/go/{answer['token']}"
        assert answer["image_url"] == f"http://banner.example:80/media/shop/{answer['banner']}.png"

    def test_a_huge_host_is_not_repeated(self, shop: Installation) -> None:
        reply = shop.call("GET", "/banner?slot=home", headers={"Host": "x" * 400 * KIB})
        assert reply.status == (200 if self.door_first else 400)  # Flask itself takes no such request
        assert len(reply.body) < KIB

    @pytest.mark.parametrize("host", ["localhost:8000", "[2001:db8::1]:80", "a-b.example"])
    def test_the_host_of_the_request_stands_in_the_answer(self, shop: Installation, host: str) -> None:
        answer = shop.call("GET", "/banner?slot=home", headers={"Host": host}).json
        assert answer["click_url"] == f"http://{host}/go/{answer['token']}"

    def test_a_picture_from_elsewhere_keeps_its_address(self, shop: Installation) -> None:
        url = 'https://cdn.example/ü".png'
        shop.store.put_slot("shop", Slot("home", pinned_banner="b1"))
        shop.store.put_banner("shop", Banner("home", "b1", url, "https://shop.example/"))
        shop.refresh()
        assert [shop.banner().json["image_url"] for _ in range(2)] == [url, url]

    def test_a_huge_user_agent_is_a_visitor_like_others(self, shop: Installation) -> None:
        huge = BROWSER + "x" * 400 * KIB
        token = shop.call("GET", "/banner?slot=home", key="serve", headers={"User-Agent": huge}).json["token"]
        shop.sleep(seconds=1)
        assert shop.click(token, key=None, headers={"User-Agent": huge}).status == 202
        shop.settle()
        assert shop.totals() == (1, 1, 1)

    def test_an_empty_fact_about_a_visitor_counts_as_absent(self, shop: Installation) -> None:
        token = shop.banner("server", client_ip="198.51.100.1", user_agent="").json["token"]
        for facts in ({"user_agent": "", "client_ip": "198.51.100.1"}, {"user_agent": BROWSER, "client_ip": ""}):
            assert shop.call("POST", "/view", json={"token": token} | facts).status == 202
        assert {event.verdict for event in shop.journaled()} == {Verdict.ACCEPTED}

    def test_a_removed_key_is_refused_after_a_refresh(self, shop: Installation) -> None:
        assert shop.banner().status == 200
        shop.store.delete_key(shop.keys["server"].split("_")[1])
        shop.refresh()
        assert shop.banner().status == 401


class TestThroughTheDoor(HotCalls):
    """As under `app:application`."""

    door_first = True


class TestThroughFlask(HotCalls):
    """As under any other entry."""

    door_first = False

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        """One is enough: behind the entry there is the same door."""
        return Embedded(tmp_path)


def test_a_full_journal_refuses_feedback_and_still_serves(tmp_path: Path) -> None:
    shop = Installation(tmp_path, max_journal_bytes=20_000)
    tokens = []
    while (answer := shop.banner().json)["recorded"]:
        tokens.append(answer["token"])
    reply = shop.click(tokens[0])
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert shop.call("GET", f"/go/{tokens[0]}", key=None).status == 302
    batch = {"events": [{"kind": "click", "token": token} for token in tokens[:3]]}
    assert shop.call("POST", "/events", json=batch).status == 503
    shop.settle()
    shop.click(answer["token"])
    shop.settle()
    served, viewed, clicks = shop.totals()
    assert (served, viewed, clicks) == (len(tokens), 0, 0)
    shop.close()


def test_a_city_may_come_from_a_proxy(tmp_path: Path) -> None:
    shop = Installation(tmp_path, city_header="X-City")
    assert shop.call("GET", "/banner?slot=home", headers={"X-City": "Poona"}).json["city"] == "pune"
    assert shop.call("GET", "/banner?slot=home&city=Delhi", headers={"X-City": "Pune"}).json["city"] == "new-delhi"
    assert shop.call("GET", "/banner?slot=home", headers={"X-City": "a\x07b"}).json["city"] == "_unknown"
    assert shop.call("GET", "/banner?slot=home", headers={"X-City": "\xff\xfe"}).json["city"] == "_unknown"
    shop.close()


def test_the_limit_is_on_the_visitor_behind_our_proxies(tmp_path: Path) -> None:
    shop = Installation(tmp_path, trusted_proxies=(ip_network("203.0.113.0/24"),), per_minute=1)

    def counted(forwarded: str) -> bool:
        headers = {"X-Forwarded-For": forwarded, "User-Agent": BROWSER}
        answer = shop.call("GET", "/banner?slot=home", key="serve", headers=headers).json
        return verify(answer["token"], shop.keyring).counted

    assert counted("198.51.100.1")
    assert not counted("6.6.6.6, 198.51.100.1")
    assert counted("198.51.100.1, 198.51.100.2, 203.0.113.9")
    shop.close()


def test_everything_else_goes_on_when_the_store_is_away(tmp_path: Path) -> None:
    shop = Installation(tmp_path)
    shop.snapshot.start()
    (tmp_path / "banner.db").rename(tmp_path / "away.db")
    shop.store.close()
    shop.sleep(seconds=30)
    shop.snapshot._refresh_or_report()
    reply = shop.banner()
    assert (reply.status, reply.headers["x-snapshot-age"]) == (200, "30")
    assert shop.click(reply.json["token"]).status == 202
    assert shop.worker.ready()[1] in {"degraded", "no drain"}
    shop.close()


def test_of_a_huge_header_only_the_beginning_is_remembered() -> None:
    environ = {
        "HTTP_USER_AGENT": "x" * 400 * KIB,
        "REMOTE_ADDR": "203.0.113.9",
        "HTTP_X_FORWARDED_FOR": "y" * 400 * KIB,
    }
    visitor = Visitors((ip_network("203.0.113.0/24"),)).of(environ, None, {})
    assert (visitor.user_agent, visitor.address) == ("x" * 512, "y" * 45)

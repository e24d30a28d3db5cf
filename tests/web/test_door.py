"""What all hot calls have in common, as a storefront and a browser see it."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from bandit.model import Banner, Slot, Verdict
from serving.token import verify
from tests.installation import BROWSER, Installation
from tests.web.hot_calls import HotCalls, ThroughFlask, ThroughTheDoor
from web.visitors import Visitors

KIB = 1024


def _unload(shop: Installation) -> None:
    """As it is at the start, while neither store nor saved file could be read."""
    shop.snapshot.configuration = None
    shop.snapshot._views.clear()


class AnyCall(HotCalls):
    """Through both entries."""

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
        shop.sleep(seconds=29 * 86_400)  # as the window of their slot might be
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


class TestThroughTheDoor(ThroughTheDoor, AnyCall):
    pass


class TestThroughFlask(ThroughFlask, AnyCall):
    pass


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

"""POST /click, /view and /events, and GET /go/<token>, as a storefront and a browser see them."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from bandit.model import Slot, Verdict
from serving.token import Token, sign, verify
from tests.installation import BROWSER, Installation
from tests.web.hot_calls import HotCalls, ThroughFlask, ThroughTheDoor

KIB = 1024


class FeedbackCalls(HotCalls):
    """Through both entries."""

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


class TestThroughTheDoor(ThroughTheDoor, FeedbackCalls):
    pass


class TestThroughFlask(ThroughFlask, FeedbackCalls):
    pass

"""The promises of the service, tried on real processes over HTTP: what both modes have to keep.

A mode subclasses this and gives the fixtures `running` (one service for all tests that leave it as it was), `service`
(starts one of one's own), `away` (takes its store away) and `journaled` (the raw events it kept).
"""

import base64
import itertools
import os
import random
import signal
import string
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from urllib.parse import quote

import pytest

from bandit.event import BannerEvent
from bandit.model import Kind, Role
from tests.conftest import StartService
from tests.service.shop import Shop
from tests.service_process import Service

WORKERS = 4
CHANGE_ACTS_SECONDS = 3 * (2 + 1)
"""Three times what is promised, snapshot.refresh_seconds + 1: the machine may be busy with other tests."""
NUMBERS = itertools.count(1)

Away = Callable[[Service], AbstractContextManager[None]]
Journaled = Callable[[Service], list[BannerEvent]]


class ServicePromises:
    """Each test has a tenant of its own."""

    feedback_shows_seconds: float

    @pytest.fixture
    def shop(self, running: Service) -> Shop:
        return self.shop_of(running)

    @staticmethod
    def shop_of(running: Service) -> Shop:
        return Shop(running, f"shop-{next(NUMBERS)}")

    # --- counted once ---

    def test_a_token_posted_a_hundred_times_at_once_counts_one_click(self, shop: Shop, journaled: Journaled) -> None:
        token = shop.banner().json["token"]
        together = threading.Barrier(100)

        def click(_: int) -> int:
            together.wait()
            return shop.click(token).status

        with ThreadPoolExecutor(100) as pool:
            assert list(pool.map(click, range(100))) == [202] * 100
        shop.settle()
        assert shop.report() == {"served": 1, "viewed": 1, "clicks": 1}
        clicks = [
            event for event in journaled(shop.service) if (event.tenant, event.kind) == (shop.tenant, Kind.CLICKED)
        ]
        assert len(clicks) == 100
        assert len({event.journal for event in clicks}) == WORKERS  # missing one is a chance of 10^-12

    # --- nobody can make or change a token ---

    def test_of_ten_thousand_changed_tokens_none_is_accepted(self, shop: Shop) -> None:
        tokens = [
            shop.banner(city=city, customer_id=str(number)).json["token"] for number, city in enumerate("abcdefgh")
        ]
        letters = string.ascii_letters + string.digits + "-_"
        batched = list(mutations(tokens, 10_000, string.printable + "é\0\U0001f600"))
        answered = []
        for start in range(0, len(batched), 500):
            batch = [
                {"kind": random.Random(start).choice(("click", "view")), "token": token}
                for token in batched[start : start + 500]
            ]
            answered += [result["status"] for result in shop.events(batch).json["results"]]
        assert answered == [400] * 10_000
        assert {shop.click(token).status for token in mutations(tokens, 200, letters)} == {400}
        led = [shop.service.request("GET", f"/go/{quote(token)}") for token in mutations(tokens, 200, letters)]
        assert {answer.status for answer in led} == {400}
        assert not any("location" in answer.headers for answer in led)
        shop.settle()
        assert shop.report() == {"served": 8, "viewed": 0, "clicks": 0}

    # --- when the journal is full ---

    def test_a_full_journal_refuses_feedback_and_goes_on_serving(self, service: StartService) -> None:
        shop = self.shop_of(service(workers=2, journal_max_mib=1, journal_segment_mib=1))
        token = shop.banner().json["token"]
        drain = shop.service.pids("drain")[0]
        os.kill(drain, signal.SIGSTOP)
        fill(shop, token)
        refused = shop.click(token)
        assert (refused.status, refused.json["error"]["code"]) == (503, "journal")
        assert int(refused.headers["Retry-After"]) > 0
        assert shop.events([{"kind": "click", "token": token}]).status == 503
        unrecorded = shop.banner()
        assert (unrecorded.status, unrecorded.json["recorded"]) == (200, False)
        assert shop.ready() == (503, "shedding")
        os.kill(drain, signal.SIGCONT)
        shop.service.wait_until(lambda: shop.every_worker(lambda: shop.ready() == (200, "ok")), "ready again")
        shop.settle()
        before = shop.report()
        assert shop.click(unrecorded.json["token"]).status == 202
        counted = shop.banner().json
        assert counted["recorded"]
        assert shop.click(counted["token"]).status == 202
        shop.settle()
        after = shop.report()
        assert before["clicks"] == 1
        assert {name: after[name] - before[name] for name in after} == {"served": 1, "viewed": 1, "clicks": 1}

    # --- feedback shows, and changes act ---

    def test_a_click_is_soon_in_the_report_and_in_the_choice(self, shop: Shop) -> None:
        answer = shop.banner().json
        assert shop.click(answer["token"]).status == 202

        def shows_everywhere() -> bool:
            if shop.report()["clicks"] != 1:
                return False
            return shop.every_worker(lambda: shop.explained()[answer["banner"]]["clicks"] == 1)

        shop.service.wait_until(shows_everywhere, "showing the click", self.feedback_shows_seconds)

    def test_the_drain_looks_whether_banners_are_drawn_as_often_as_the_log_says(self, shop: Shop) -> None:
        service = shop.service
        # It looks when it starts, and a minute later where the store was away then.
        service.wait_until((service.data / "journal" / "sample_ratio.json").exists, "sample ratios to be checked", 150)
        assert b"\nbanner_sample_ratio_alarms 0\n" in service.request("GET", "/metrics").body

    def test_changes_of_configuration_act_in_every_worker(self, shop: Shop) -> None:
        def change(method: str, path: str, body: object) -> None:
            answer = shop.service.request(method, f"/admin{path}", json=body, key=shop.keys[Role.ADMIN])
            assert answer.status in (200, 201, 204), answer.body

        def acts(what: str, holds: Callable[[], bool]) -> None:
            shop.service.wait_until(lambda: shop.every_worker(holds), what, CHANGE_ACTS_SECONDS)

        change("PATCH", "/slots/home/banners/b1", {"enabled": False})
        acts("paused", lambda: shop.explained()["b1"]["probability"] == 0)
        change("PATCH", "/slots/home", {"pinned_banner": "b2"})
        acts("pinned", lambda: shop.banner().json["banner"] == "b2")
        change("POST", "/slots", {"id": "footer"})
        acts("known", lambda: shop.banner(slot="footer").status == 204)
        key_id = shop.keys[Role.SERVER].split("_")[1]
        change("DELETE", f"/keys/{key_id}", None)
        acts("revoked", lambda: shop.banner().status == 401)

    # --- when the store is away ---

    def test_while_the_store_is_away_everything_goes_on_and_is_counted_when_it_is_back(
        self, shop: Shop, away: Away
    ) -> None:
        with away(shop.service):
            shop.service.wait_until(lambda: shop.every_worker(lambda: shop.ready() == (200, "degraded")), "degraded")
            answers = [shop.banner() for _ in range(20)]
            assert {answer.status for answer in answers} == {200}
            assert all(answer.json["recorded"] and int(answer.headers["X-Snapshot-Age"]) >= 0 for answer in answers)
            assert {shop.click(answer.json["token"]).status for answer in answers} == {202}
            assert shop.service.request("GET", "/livez").status == 200
            report = shop.service.request("GET", "/reports/banner?slot=home", key=shop.keys[Role.READ])
            assert report.status == 503
        shop.service.wait_until(lambda: shop.every_worker(lambda: shop.ready() == (200, "ok")), "ok")
        shop.settle()
        assert shop.report() == {"served": 20, "viewed": 20, "clicks": 20}
        assert "X-Snapshot-Age" not in shop.banner().headers

    def test_without_a_store_it_starts_from_what_the_last_run_saved(self, service: StartService, away: Away) -> None:
        shop = self.shop_of(service(workers=2))
        token = shop.banner().json["token"]
        assert shop.service.stop() == 0
        with away(shop.service):
            shop.service.start()
            assert shop.every_worker(lambda: shop.ready() == (200, "degraded"))
            assert shop.every_worker(lambda: shop.banner(Role.READ, explain="1").status == 200)
            answer = shop.banner()
            assert answer.json["recorded"] and "X-Snapshot-Age" in answer.headers
            assert {shop.click(one).status for one in (token, answer.json["token"])} == {202}
        shop.service.wait_until(lambda: shop.every_worker(lambda: shop.ready() == (200, "ok")), "ok")
        shop.settle()
        assert shop.report() == {"served": 2, "viewed": 2, "clicks": 2}

    def test_without_store_and_snapshot_it_waits_for_one(self, service: StartService, away: Away) -> None:
        shop = self.shop_of(service(workers=2))
        assert shop.service.stop() == 0
        for path in (shop.service.data / "snapshot").iterdir():
            path.unlink()
        with away(shop.service):
            shop.service.start(ready=False)
            shop.service.wait_until(lambda: answers(shop.service), "answering")
            assert shop.ready() == (503, "starting")
            refused = shop.banner()
            assert (refused.status, refused.json["error"]["code"]) == (503, "not_ready")
            assert refused.headers["Retry-After"]
            assert shop.service.request("GET", "/livez").status == 200
        shop.service.wait_until(lambda: shop.every_worker(lambda: shop.ready() == (200, "ok")), "ok")
        assert shop.banner().status == 200


def mutations(tokens: list[str], times: int, alphabet: str) -> Iterator[str]:
    """Wrong tokens made of right ones; none that is right. `alphabet` is what a wrong letter may be."""
    rng = random.Random(7)
    right = set(tokens)
    made = 0
    while made < times:
        token = mutation(rng, rng.choice(tokens), rng.choice(tokens), alphabet)
        if token not in right:
            made += 1
            yield token


def mutation(rng: random.Random, token: str, other: str, alphabet: str) -> str:
    at = rng.randrange(len(token))
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    flipped = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return rng.choice(
        (
            flipped,
            flipped,
            token[:at] + rng.choice(alphabet) + token[at + 1 :],
            token[:at],
            token[at:],
            token[:at] + other[at:],
            token[:-1] + rng.choice(string.ascii_letters),  # other spellings of the same bytes among them
            token + rng.choice(alphabet),
            token.swapcase(),
            token[:at] + token[at : at + 2][::-1] + token[at + 2 :],
        )
    )


def fill(shop: Shop, token: str) -> None:
    """Report the same click until no worker takes another."""
    batch = [{"kind": "click", "token": token}] * 500
    shop.service.wait_until(lambda: shop.events(batch).status == 503, "full")
    shop.service.wait_until(lambda: shop.every_worker(lambda: shop.click(token).status == 503), "full everywhere")


def answers(service: Service) -> bool:
    try:
        return service.request("GET", "/livez").status == 200
    except OSError:
        return False

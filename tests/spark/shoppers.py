"""Visitors of two tenants over a day and a half, through the HTTP door of an installation that has a time of its own.

Two midnights pass in India, and two in Berlin with 25 hours between: clocks are put back on 25 October 2026.
"""

import random
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from bandit.event import BannerEvent, decode
from bandit.model import UNKNOWN, Banner, Kind, Role, Slot, Tenant, Verdict
from bandit.zone import date_to_day
from kafka_ingest.forwarder import Forwarder
from kafka_ingest.registry import ShippedSchemas
from serving.keys import new_key
from storage.base import EventSink, Record, Refusal, Store
from storage.cassandra import CassandraStore
from storage.cassandra_session import COUNTING
from tests.backends import Backend, environment
from tests.counting.group import Place
from tests.installation import Installation
from tests.service.ledger import Cell, Totals, expected_cells

START = datetime(2026, 10, 24, 16, tzinfo=UTC)
LENGTH = timedelta(hours=32)
FIRST_DAY, LAST_DAY = date_to_day(date(2026, 10, 24)), date_to_day(date(2026, 10, 26))
ZONES = {"shop": "Asia/Kolkata", "mall": "Europe/Berlin"}
SLOTS, BANNERS = ("home", "cart"), ("b1", "b2", "b3")
CITIES = {"pune": ("Poona",), "agra": (), "berlin": ()}
ASKED_CITIES = ("pune", " POONA", "Agra", "berlin", "Atlantis")
REFERRERS = ("", "mail", "search")
WINDOW_SECONDS = 3600
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
EVENTS_PER_PAGE = 2.3
"""About; the clock moves by it."""
EVENTS_PER_CALL = 100
EVENTS_PER_DELIVERY = 20_000

Cells = dict[Cell, Totals]


class Stuttering(EventSink):
    """Delivers some records twice, as a drain that dies before it moves its mark. Remembers what it delivered."""

    def __init__(self, sink: EventSink) -> None:
        self.events: dict[tuple[int, int, int], BannerEvent] = {}
        """By journal, shard and sequence."""
        self.repeated = 0
        self._sink = sink
        self._rng = random.Random(5)

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        for record in records:
            event = decode(record.payload)
            self.events[event.journal, event.shard, event.sequence] = event
        if self._rng.random() < 0.1:
            half = records[: len(records) // 2]
            self.repeated += len(half)
            assert self._sink.deliver(half) == []
        return self._sink.deliver(records)


class Stuttered:
    """A backend whose sink is so."""

    def __init__(self, backend: Backend) -> None:
        self.environment = backend.environment
        self._backend = backend

    def open(self) -> tuple[Store, EventSink]:
        store, sink = self._backend.open()
        self.sink = Stuttering(sink)
        return store, self.sink

    def close(self) -> None:
        self._backend.close()


class Streamed:
    """A place: the drain forwards into its topic, and its consumers count."""

    def __init__(self, place: Place) -> None:
        self.environment = place.environment() | environment(place.cassandra)
        self._options = place.cassandra
        start_us = int(START.timestamp()) * 1_000_000
        self._forwarder = Forwarder(
            place.kafka, place.topic.name, ShippedSchemas(), window_records=2000, now_us=lambda: start_us
        )

    def open(self) -> tuple[Store, EventSink]:
        return CassandraStore(self._options, reading=COUNTING), self._forwarder

    def close(self) -> None:
        self._forwarder.close()


class Shoppers:
    """They ask for pages, view and click, late and repeatedly; some are bots. Keeps account of what was answered."""

    def __init__(self, directory: Path, backend: Backend, events: int) -> None:
        """So many events are to come until LENGTH has passed."""
        self.acknowledged: Counter[str] = Counter()
        """Kind -> how many were answered as recorded."""
        self._backend = Stuttered(backend)
        self.installation = Installation(directory, backend=self._backend)
        self.installation.now = START
        self._rng = random.Random(3)
        self._pause = LENGTH / (events / EVENTS_PER_PAGE)
        self._tokens: dict[str, deque[str]] = {tenant: deque(maxlen=20_000) for tenant in ZONES}
        self._clicked: dict[str, deque[str]] = {tenant: deque(maxlen=5000) for tenant in ZONES}
        self._feedback: dict[str, list[dict[str, str]]] = {tenant: [] for tenant in ZONES}
        self._keys = {tenant: self._open(tenant, zone) for tenant, zone in ZONES.items()}
        self.installation.refresh()

    @property
    def store(self) -> Store:
        """Where it is counted."""
        return self.installation.store

    @property
    def events(self) -> list[BannerEvent]:
        """All that was delivered, each once."""
        return list(self._backend.sink.events.values())

    @property
    def repeated(self) -> int:
        """How many were delivered twice."""
        return self._backend.sink.repeated

    def _open(self, tenant: str, zone: str) -> str:
        """The key for a tenant that is made, or changed."""
        self.store.put_tenant(tenant, Tenant(tenant, time_zone=zone, cities=CITIES))
        for slot in SLOTS:
            self.store.put_slot(
                tenant, Slot(slot, attribution_window_seconds=WINDOW_SECONDS, holdout_share=0.1, half_life_days=None)
            )
            for banner in BANNERS:
                self.store.put_banner(tenant, Banner(slot, banner, "/b.png", f"https://shop.example/{banner}"))
        key, text = new_key(tenant, Role.SERVER, START)
        self.store.put_key(key)
        return text

    def visit(self, events: int) -> None:
        """Until so many more events are recorded, and delivered."""
        goal = self.acknowledged.total() + events
        while self.acknowledged.total() < goal:
            delivered = min(goal, self.acknowledged.total() + EVENTS_PER_DELIVERY)
            while self.acknowledged.total() < delivered:
                self._page(self._rng.choice(tuple(ZONES)))
                self.installation.now += self._pause
            for tenant in ZONES:
                self._send_feedback(tenant)
            self.installation.settle()

    def click_again(self, clicks: int) -> None:
        """On what has been clicked before; delivered when it returns."""
        for tenant in ZONES:
            for token in self._rng.choices(self._clicked[tenant], k=clicks // len(ZONES)):
                self._report(tenant, "click", token)
            self._send_feedback(tenant)
        self.installation.settle()

    def _page(self, tenant: str) -> None:
        asked = {
            "slots": list(SLOTS),
            "city": self._rng.choice(ASKED_CITIES),
            "referrer_id": self._rng.choice(REFERRERS),
            "customer_id": f"visitor-{self._rng.randrange(20_000)}",
            "user_agent": BOT if self._rng.random() < 0.02 else "",
        }
        answer = self._post("/page", tenant, {name: value for name, value in asked.items() if value})
        for banner in answer["results"]:
            assert banner["recorded"], banner
            self.acknowledged[Kind.SERVED] += 1
            self._tokens[tenant].append(banner["token"])
        self._maybe_react(tenant)

    def _maybe_react(self, tenant: str) -> None:
        """Views, clicks, clicks twice and clicks of hours ago."""
        chance = self._rng.random()
        if chance < 0.3:
            recent = min(200 if chance < 0.27 else 20_000, len(self._tokens[tenant]))
            token = self._tokens[tenant][-self._rng.randint(1, recent)]
            self._report(tenant, "view" if chance < 0.15 else "click", token)
            if 0.15 < chance < 0.18:
                self._report(tenant, "click", token)

    def _report(self, tenant: str, kind: str, token: str) -> None:
        if kind == "click":
            self._clicked[tenant].append(token)
        self._feedback[tenant].append({"kind": kind, "token": token})
        if len(self._feedback[tenant]) == EVENTS_PER_CALL:
            self._send_feedback(tenant)

    def _send_feedback(self, tenant: str) -> None:
        sent, self._feedback[tenant] = self._feedback[tenant], []
        if sent:
            answer = self._post("/events", tenant, {"events": sent})
            for one, result in zip(sent, answer["results"], strict=True):
                assert result["status"] == 202, result
                self.acknowledged[Kind.VIEWED if one["kind"] == "view" else Kind.CLICKED] += 1

    def _post(self, path: str, tenant: str, body: dict[str, Any]) -> Any:
        reply = self.installation.call("POST", path, key=self._keys[tenant], json=body)
        assert reply.status == 200, reply
        return reply.json

    def complaints(self) -> list[str]:
        """What was answered and is not delivered; and the cells that are not what the events add up to."""
        self.installation.refresh()  # a store looks at the epoch only now and then
        events = self.events
        delivered = Counter(str(event.kind) for event in events)
        found = [] if delivered == self.acknowledged else [f"answered {self.acknowledged}, delivered {delivered}"]
        counted = [event for event in events if event.verdict == Verdict.ACCEPTED]
        found += _differences(self._cells(), expected_cells(counted, lambda event: (event.policy, event.city)))
        by_referrer = expected_cells(counted, lambda event: (event.referrer or UNKNOWN,))
        return found + _differences(self._by_referrer(), by_referrer)

    def _cells(self) -> Cells:
        return {
            (tenant, slot, row.day, row.banner, row.policy, row.city): row[-3:]
            for tenant in ZONES
            for slot in SLOTS
            for row in self.store.counts(tenant, slot, FIRST_DAY, LAST_DAY)
        }

    def _by_referrer(self) -> Cells:
        return {
            (tenant, slot, row.day, row.banner, row.referrer): row[-3:]
            for tenant in ZONES
            for slot in SLOTS
            for row in self.store.referrer_counts(tenant, slot, FIRST_DAY, LAST_DAY)
        }

    def close(self) -> None:
        """Give everything up."""
        self.installation.close()


def _differences(stored: Cells, wanted: Cells) -> list[str]:
    """A few of them."""
    wrong = [cell for cell in stored.keys() | wanted.keys() if stored.get(cell) != wanted.get(cell)]
    return [f"{cell}: {stored.get(cell)} instead of {wanted.get(cell)}" for cell in wrong[:10]]

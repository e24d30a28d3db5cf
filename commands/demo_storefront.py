"""A storefront of the demo's shop: asks for banners, shows them to simulated visitors, and reports what they do."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import urlencode

from commands.demo_client import Client, NoService
from commands.demo_visitors import Crowd, Visit
from commands.demo_world import MEAN_CTR, Cell, Rates

TELL_SECONDS = 0.25
VIEW_BATCH = 200


class Outcome(NamedTuple):
    """What came of one impression."""

    slot: str
    city: str
    banner: str
    policy: str
    clicked: bool


class Order(NamedTuple):
    """What one storefront process is to do."""

    url: str
    key: str
    impressions: int
    seed: str
    world: Mapping[Cell, Rates]


def work(order: Order, report: Connection) -> None:
    """The main of a storefront process: sends Counter[Outcome] as it goes on, and at its end "" or what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; whoever started us ends us
    trouble = ""
    try:
        with Client(order.url, order.key) as client:
            storefront = Storefront(client, Crowd(random.Random(order.seed)), order.world)
            for outcomes in told(storefront, order.impressions, time.monotonic):
                report.send(outcomes)
    except NoService as error:
        trouble = str(error)
    report.send(trouble)


class Storefront:
    """Serves visits one after the other."""

    def __init__(self, client: Client, crowd: Crowd, world: Mapping[Cell, Rates]) -> None:
        self._client = client
        self._crowd = crowd
        self._world = world
        self._views: list[str] = []
        """Tokens of banners that were seen, reported a batch at a time as a back end would."""

    def serve(self) -> Outcome | None:
        """One visit; None when there was no banner to show."""
        visit = self._crowd.visit()
        answer = self._client.get(f"/banner?{_query(visit)}")
        if answer is None:
            return None
        outcome = self._show(answer)
        if outcome.clicked:
            self._client.post("/click", {"token": answer["token"]})
        if outcome.clicked or self._crowd.looks():
            self._note_view(answer["token"])
        return outcome

    def finish(self) -> None:
        """Report the views that are left."""
        if self._views:
            self._client.post("/events", {"events": [{"kind": "view", "token": token} for token in self._views]})
            self._views = []

    def _show(self, answer: Mapping[str, Any]) -> Outcome:
        slot, city, banner = answer["slot"], answer["city"], answer["banner"]
        rate = self._world.get((slot, city), {}).get(banner, MEAN_CTR)  # what somebody has added is mediocre
        return Outcome(slot, city, banner, answer["policy"], self._crowd.clicks(rate))

    def _note_view(self, token: str) -> None:
        self._views.append(token)
        if len(self._views) >= VIEW_BATCH:
            self.finish()


def told(storefront: Storefront, impressions: int, clock: Callable[[], float]) -> Iterator[Counter[Outcome]]:
    """Serve so many visits; what came of them since the last time, every TELL_SECONDS of the clock, and at the end."""
    since, outcomes = clock(), Counter[Outcome]()
    for _ in range(impressions):
        outcome = storefront.serve()
        if outcome is not None:
            outcomes[outcome] += 1
        if clock() - since >= TELL_SECONDS:
            yield outcomes
            since, outcomes = clock(), Counter()
    storefront.finish()
    yield outcomes


def _query(visit: Visit) -> str:
    fields = {"slot": visit.slot, "city": visit.city, "referrer_id": visit.referrer_id}
    if visit.customer_id is not None:
        fields["customer_id"] = visit.customer_id
    return urlencode(fields)

"""Visitors of a running service, in a process of their own: `python -m tests.service.load` with arguments of main.

Each keeps a connection, writes down what it tries before it sends it and what was acknowledged before it goes on, and
never sends an impression twice. They end with SIGTERM, each after its answer.
"""

import base64
import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bandit.model import Kind, Role
from tests.service.ledger import ACKNOWLEDGED, REFUSED, TRIED, Pen
from tests.service.shop import CITIES, SLOTS, Shop
from tests.service_process import ROOT, wait_until

VISITORS = 4
"""In each process."""
REQUESTS_PER_CONNECTION = 200
"""A new connection now and then finds the workers that are new."""
TIMEOUT_SECONDS = 20
UNAVAILABLE = 503
REFERRERS = (None, "mail", "search")


class Visitor:
    """Asks for banners, and views and clicks some of them, now or later, once or several times."""

    def __init__(
        self, address: tuple[str, int], key: str, pen: Pen, name: str, stop: threading.Event, pause_seconds: float
    ) -> None:
        self._connection = HTTPConnection(*address, timeout=TIMEOUT_SECONDS)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._pen = pen
        self._name = name
        self._stop = stop
        self._pause_seconds = pause_seconds
        self._rng = random.Random(name)
        self._sent = 0
        self._tokens: list[tuple[str, str]] = []
        """Impressions that may still be clicked: id in hex and token."""

    def run(self) -> None:
        """Until told to stop."""
        while not self._stop.is_set():
            self._ask()
            if self._tokens and self._rng.random() < 0.5:
                self._report(*self._tokens.pop(self._rng.randrange(len(self._tokens))))
            if self._pause_seconds:
                self._stop.wait(self._pause_seconds)
        self._connection.close()

    def _ask(self) -> None:
        customer = f"{self._name}-{self._sent}"
        asked = {"slot": SLOTS, "city": CITIES, "referrer_id": REFERRERS}
        query = {name: self._rng.choice(values) for name, values in asked.items()} | {"customer_id": customer}
        self._pen.write(TRIED, Kind.SERVED, customer)
        answer = self._send("GET", "/banner?" + urlencode({k: v for k, v in query.items() if v}))
        if answer is None or not answer["recorded"]:
            return
        impression = impression_of(answer["token"])
        self._pen.write(ACKNOWLEDGED, Kind.SERVED, customer, impression)
        if self._rng.random() < 0.6:
            self._tokens.append((impression, answer["token"]))

    def _report(self, impression: str, token: str) -> None:
        """Feedback on one impression; a click may be repeated, as by a client that retries."""
        manner = self._rng.choice(("view", "click", "click", "click twice", "batch"))
        if manner == "batch":
            self._batch(impression, token)
            return
        kind = Kind.VIEWED if manner == "view" else Kind.CLICKED
        for _ in range(2 if manner == "click twice" else 1):
            self._pen.write(TRIED, kind, impression)
            if self._send("POST", "/view" if manner == "view" else "/click", {"token": token}) is not None:
                self._pen.write(ACKNOWLEDGED, kind, impression)

    def _batch(self, impression: str, token: str) -> None:
        kinds = [Kind.VIEWED, Kind.CLICKED, Kind.CLICKED]
        for kind in kinds:
            self._pen.write(TRIED, kind, impression)
        names = {Kind.VIEWED: "view", Kind.CLICKED: "click"}
        answer = self._send("POST", "/events", {"events": [{"kind": names[kind], "token": token} for kind in kinds]})
        for kind, result in zip(kinds, answer["results"] if answer else (), strict=False):
            if result["status"] == 202:
                self._pen.write(ACKNOWLEDGED, kind, impression)

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        """The answer; None when there was none, or none that acknowledges anything."""
        self._sent += 1
        if self._sent % REQUESTS_PER_CONNECTION == 0:
            self._connection.close()
        try:
            self._connection.request(method, path, json.dumps(body) if body else None, self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            self._connection.close()
            self._stop.wait(0.02)
            return None
        if response.status in (200, 202):
            return json.loads(content)
        if response.status != UNAVAILABLE:
            self._pen.write(REFUSED, str(response.status), method, path.partition("?")[0], content.decode())
        return None


def impression_of(token: str) -> str:
    """The impression id of a token, in hex: 16 bytes behind version, key id and flags."""
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[3:19].hex()


@contextmanager
def load(shop: Shop, ledger: Path, *, processes: int = 2, pause_seconds: float = 0) -> Iterator[None]:
    """Visitors come while this lasts, each after such a pause; their ledger is complete when it ends."""
    ledger.mkdir()
    service = shop.service
    arguments = (service.host, str(service.port), shop.keys[Role.SERVER], str(ledger), str(pause_seconds))
    command = (sys.executable, "-m", "tests.service.load", *arguments)
    running = [subprocess.Popen((*command, f"p{number}"), cwd=ROOT) for number in range(processes)]
    try:
        wait_until(lambda: len(list(ledger.iterdir())) == processes * VISITORS, "visited")
        yield
    finally:
        for process in running:
            process.terminate()
        codes = [process.wait(2 * TIMEOUT_SECONDS) for process in running]
    assert codes == [0] * processes


def main(host: str, port: str, key: str, ledger: str, pause_seconds: str, name: str) -> None:
    """Let visitors come until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    names = [f"{name}v{number}" for number in range(VISITORS)]
    pause = float(pause_seconds)
    visitors = [Visitor((host, int(port)), key, Pen(Path(ledger) / one), one, stop, pause) for one in names]
    threads = [threading.Thread(target=visitor.run) for visitor in visitors]
    for thread in threads:
        thread.start()
    while not stop.wait(0.1):  # a wait without end would not let the signal's handler run
        pass
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Clicks for the benchmarks: tokens nobody has used, and a trickle of feedback so that there is something to learn."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path

from bandit.model import Policy, Tenant
from bandit.zone import clock
from benchmarks.content import TENANT, Content, names
from serving.keyring import Keyring
from serving.token import Token, impression_id, sign

CLICKS_PER_SECOND = 300
BATCHES_PER_SECOND = 30


def tokens(keyring: Keyring, content: Content, rng: random.Random) -> Iterator[str]:
    """As many as wanted, each of an impression of its own, served this moment anywhere in the content."""
    slots, cities = names("slot", content.slots), names("city", content.cities)
    banners, zone = names("banner", content.banners), clock(Tenant(TENANT).time_zone)
    while True:
        now_us = time.time_ns() // 1000
        yield sign(
            Token(
                impression_id(now_us, rng.getrandbits(64)),
                zone.day(now_us),
                0,
                Policy.LEARNED,
                True,
                1 / content.banners,
                rng.randbytes(8),
                TENANT,
                rng.choice(slots),
                rng.choice(cities),
                rng.choice(banners),
                None,
            ),
            keyring,
        )


def write_tokens(path: Path, source: Iterator[str], count: int) -> Path:
    """A file of so many tokens, one a line, for load.lua."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{token}\n" for token in islice(source, count))
    return path


@contextmanager
def trickle(host: str, port: int, key: str, source: Iterator[str]) -> Iterator[None]:
    """Report CLICKS_PER_SECOND while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_report, args=(HTTPConnection(host, port), key, source, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _report(connection: HTTPConnection, key: str, source: Iterator[str], stop: threading.Event) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    while not stop.wait(1 / BATCHES_PER_SECOND):
        some = islice(source, CLICKS_PER_SECOND // BATCHES_PER_SECOND)
        events = [{"kind": "click", "token": token} for token in some]
        connection.request("POST", "/events", json.dumps({"events": events}), headers)
        connection.getresponse().read()
    connection.close()

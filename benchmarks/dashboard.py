"""Measure the pages of the dashboard over a large store: 100 slots, 10 banners, 200 cities and 60 days.

    python -m benchmarks.dashboard [sqlite] [cassandra] [--rounds 11] [--slots 100]

That are 12,000,000 rows of counts; writing them takes a minute in SQLite and some in Cassandra, which it starts here
(Java 17 and Maven are needed). Each page is loaded as a browser does, over the longest period, by turns with the
plain query: the rows of counts of one slot and these days, read from the store. Before each load every slot counts
something new where the store says what changed (SQLite); elsewhere the pages read today and yesterday anyway.

A process that starts needs a while until it has read what the pages show: that is told, too.

Exit codes: 0 every target is met, 1 one is missed, 2 it could not be measured.
"""

import argparse
import csv
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from bandit.model import Role
from benchmarks.content import TENANT, Content, fill_store, names
from benchmarks.dashboard_content import CONTENT, DAYS, count_in_cassandra, count_in_sqlite, days
from benchmarks.results import Result
from benchmarks.wrk import CannotMeasure
from services import Missing
from services.cassandra import Cassandra
from services.process import Failed
from serving.keys import new_key
from storage.base import EventSink, Record, Store
from storage.cassandra import CassandraStore
from storage.sqlite import SqliteStore
from tests import backends
from tests.service_process import Service
from tests.services_fixtures import make_keyspace
from tests.storage.events import Log, served

MISSED, CANNOT_MEASURE = 1, 2
PAGE_MS = 300.0
RATIO = 1.0
PERIOD = "days=90"
READY_SECONDS = 1800.0
LOOK_SECONDS = 5.0
HURRY = {"BANNER_SNAPSHOT_CPU_SHARE": "1", "BANNER_SNAPSHOT_REFRESH_SECONDS": "20"}
"""While everything is read for the first time: what a process knows it saves, and the next begins with it."""


class Place(NamedTuple):
    """A filled store, and the service over it, not started yet."""

    store: Store
    sink: EventSink | None
    """Counts at once, where the store says what changed."""
    service: Service
    keys: Mapping[str, str]
    slots: list[str]


class Browser:
    """Somebody who is signed in."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._opener = build_opener(HTTPCookieProcessor())
        proof = re.search(r'name="form_proof" value="([^"]+)"', self.load("/dashboard/sign-in"))
        assert proof is not None
        self._opener.open(f"{url}/dashboard/sign-in", urlencode({"key": key, "form_proof": proof[1]}).encode()).close()

    def load(self, path: str) -> str:
        """The text of the page."""
        with self._opener.open(self._url + path) as answer:
            return str(answer.read().decode())


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("stores", nargs="*", choices=[[], *STORES], help="which to measure; else both")
    parser.add_argument("--rounds", type=int, default=11, help="of each page (default: %(default)d)")
    parser.add_argument("--slots", type=int, default=CONTENT.slots, help="fewer for a look (default: %(default)d)")
    given = parser.parse_args(arguments)
    content = CONTENT._replace(slots=given.slots)
    results: list[Result] = []
    try:
        for name in given.stores or STORES:
            with (
                TemporaryDirectory(prefix="banner-bench-") as directory,
                STORES[name](Path(directory), content) as place,
            ):
                results += measure(name, place, given.rounds)
    except (CannotMeasure, Missing, Failed) as error:
        print(error, file=sys.stderr)
        return CANNOT_MEASURE
    finally:
        print("\n".join(["", *(result.line() for result in results)]))
    return 0 if all(result.met for result in results) else MISSED


@contextmanager
def sqlite(directory: Path, content: Content) -> Iterator[Place]:
    """The embedded mode."""
    service = Service(directory)
    service.data.mkdir(parents=True)
    keys = _fill(SqliteStore.open(service.store_path), content)
    _told("SQLite is filled", lambda: count_in_sqlite(service.store_path, content))
    store = SqliteStore(service.store_path)
    try:
        yield Place(store, store, service, keys, names("slot", content.slots))
    finally:
        service.close()
        store.close()


@contextmanager
def cassandra(directory: Path, content: Content) -> Iterator[Place]:
    """The distributed mode; Kafka is not needed for looking at pages."""
    with Cassandra(directory / "services") as server:
        options = make_keyspace(server)
        given = backends.environment(options)
        service = Service(directory)
        service.environment |= {name: value for name, value in given.items() if name != "BANNER_DATA_DIRECTORY"}
        keys = _fill(CassandraStore(options), content)
        _told("Cassandra is filled", lambda: count_in_cassandra(options, content))
        store = CassandraStore(options)
        try:
            yield Place(store, None, service, keys, names("slot", content.slots))
        finally:
            service.close()
            store.close()


STORES = {"sqlite": sqlite, "cassandra": cassandra}


def measure(name: str, place: Place, rounds: int) -> list[Result]:
    """One result a page."""
    given = dict(place.service.environment)
    place.service.environment |= HURRY
    place.service.start()
    _told(f"{name}: a first process has read everything", lambda: _wait_until_complete(place))
    place.service.stop()
    place.service.environment = given
    place.service.start()
    _told(f"{name}: a process that starts again has everything", lambda: _wait_until_complete(place))
    return list(_measured(name, place, rounds))


def _measured(name: str, place: Place, rounds: int) -> Iterator[Result]:
    browser = Browser(place.service.url, place.keys[Role.ADMIN])
    log, (first, *_, last) = Log(journal=8), days()
    loads: dict[str, list[float]] = {}
    plain = []
    for number in range(rounds):
        plain.append(_ms(lambda: place.store.counts(TENANT, "slot-1", first, last)))
        for page, path in _pages(place):
            if place.sink is not None:
                place.sink.deliver(_one_in_each_slot(place.slots, log, last, number))
            loads.setdefault(page, []).append(_ms(lambda path=path: browser.load(path)))  # type: ignore[misc]
    for page, times in loads.items():
        detail = f"slowest {max(times):.0f} ms, {median(times) / median(plain):.2f} of the plain query"
        yield Result(f"{name}, {page}", median(times), PAGE_MS, at_least=False, unit="ms", detail=detail)
    slowest = max(median(times) for times in loads.values())
    detail = f"{slowest:.0f} against {median(plain):.0f} ms for {CONTENT.cities * CONTENT.banners * DAYS:,} rows"
    yield Result(f"{name}, slowest page / plain query", slowest / median(plain), RATIO, at_least=False, detail=detail)


def _pages(place: Place) -> Iterator[tuple[str, str]]:
    slot = "/dashboard/slots/slot-1"
    answer = place.service.request("GET", "/banner?slot=slot-1&city=city-1", key=place.keys[Role.SERVER])
    yield "overview", f"/dashboard/?{PERIOD}"
    yield "slot", f"{slot}?{PERIOD}"
    yield "city", f"{slot}/cities/city-1"
    yield "banner", f"{slot}/banners/banner-1"
    yield "seeds", f"{slot}/seeds"
    yield "why", f"/dashboard/why?{urlencode({'token': answer.json['token']})}"
    yield from ((page, f"/dashboard/{page}") for page in ("changes", "keys", "system"))


def _wait_until_complete(place: Place) -> None:
    """Ask for banners, since only slots in use are known, and look until the overview has everything."""
    browser, deadline = Browser(place.service.url, place.keys[Role.ADMIN]), time.monotonic() + READY_SECONDS
    while True:
        for slot in place.slots:
            place.service.request("GET", f"/banner?slot={slot}&city=city-1", key=place.keys[Role.SERVER])
        rows = list(csv.DictReader(browser.load(f"/dashboard/?{PERIOD}&csv=slots").splitlines()))
        if all(row["lift"] and row["state"] != "not known yet" for row in rows):
            return
        if time.monotonic() > deadline:
            raise CannotMeasure(f"the overview was not complete within {READY_SECONDS:.0f} s; it says {rows[0]}")
        time.sleep(LOOK_SECONDS)


def _one_in_each_slot(slots: Sequence[str], log: Log, today: int, number: int) -> list[Record]:
    place = {"tenant": TENANT, "city": "city-1", "banner": "banner-1", "day": today}
    return log.records(*(served(number * len(slots) + at, slot=slot, **place) for at, slot in enumerate(slots)))


def _fill(store: Store, content: Content) -> dict[str, str]:
    admin, text = new_key(TENANT, Role.ADMIN, datetime.now(UTC))
    store.put_key(admin)
    return {Role.SERVER: fill_store(store, content), Role.ADMIN: text}


def _told(what: str, act: Callable[[], object]) -> None:
    print(f"{what} ... ", end="", flush=True)
    print(f"{_ms(act) / 1000:.0f} s", flush=True)


def _ms(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What visitors notice of the distributed mode."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles

from bandit.model import Role
from benchmarks import wrk
from benchmarks.content import TENANT, Content, fill_store, names
from benchmarks.results import Result, speed
from benchmarks.servers import Target, running
from benchmarks.stage import Stage
from benchmarks.throughput import CONTENT, WARM_UP_SECONDS, load_banner
from benchmarks.wrk import CannotMeasure
from services.cluster import Cluster
from serving.keyring import Keyring
from serving.keys import new_key
from serving.token import verify
from storage.cassandra import CassandraStore
from tests.counting.group import Place
from tests.service_process import Service
from tests.services_fixtures import make_keyspace

TOKEN_KEY, CUSTOMER_KEY = b"\x0a" * 32, b"\x0b" * 32
BANNER_RATIO = 0.95
BANNER_SECONDS = 15.0
LOWEST_PRIORITY = 19
FROZEN_RATIO = 2.0
FROZEN_SECONDS, REQUESTS_PER_SECOND = 30.0, 300
COUNTED_SECONDS, CHOSEN_SECONDS = 3.0, 6.0
EVENTS_PER_SECOND, PROBES = 500, 10
LOOK_SECONDS, GIVE_UP_SECONDS = 0.05, 120.0


def measure_banner(stage: Stage) -> list[Result]:
    """Rounds by turns; each service rests while the other is asked."""
    wrk.check()
    give_way(stage.kafka, stage.cassandra)
    with (
        running(stage.directory / "embedded", CONTENT, 1) as embedded,
        distributed(stage, CONTENT) as (target, _),
    ):
        for one in (embedded, target):
            load_banner(one, WARM_UP_SECONDS)
        ours, theirs = [], []
        for _ in range(stage.rounds):
            theirs.append(load_banner(embedded, BANNER_SECONDS))
            embedded.wait_until_drained()
            ours.append(load_banner(target, BANNER_SECONDS))
            target.wait_until_drained()
    return [speed("GET /banner, distributed", ours, theirs, BANNER_RATIO)]


def give_way(*clusters: Cluster) -> None:
    """Servers that would be on machines of their own take what the service leaves of this one's cores: what is compared
    is the service in its two modes, not a machine with a Kafka on it and one without. It cannot be undone."""
    for process in (process for cluster in clusters for process in cluster.processes):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), LOWEST_PRIORITY)


def measure_frozen(stage: Stage) -> list[Result]:
    """The 99th percentile of the time an answer takes."""
    cassandra = stage.cassandra
    with distributed(stage, CONTENT) as (target, _):
        paced(target, WARM_UP_SECONDS)
        healthy = paced(target, FROZEN_SECONDS)
        cassandra.freeze(0)
        try:
            frozen = paced(target, FROZEN_SECONDS)
        finally:
            cassandra.thaw(0)
    before, meanwhile = (quantiles(times, n=100)[98] * 1000 for times in (healthy, frozen))
    detail = f"{meanwhile:.2f} against {before:.2f} ms"
    return [
        Result("GET /banner, Cassandra frozen, p99", meanwhile / before, FROZEN_RATIO, at_least=False, detail=detail)
    ]


def measure_delay(stage: Stage) -> list[Result]:
    """From the answer to a click until the store counts it, and until a worker's choice knows of it."""
    with distributed(stage, CONTENT) as (target, place):
        place.consumer()
        store = CassandraStore(place.cassandra)
        key, reader = new_key(TENANT, Role.READ, datetime.now(UTC))
        store.put_key(key)
        with background(target):
            probe(target, reader, store, CONTENT.slots)
            times = [probe(target, reader, store, number) for number in range(1, PROBES + 1)]
        store.close()
    counted, chosen = (max(column) for column in zip(*times, strict=True))
    typical = [median(column) for column in zip(*times, strict=True)]
    return [
        Result("a click in the counts, slowest", counted, COUNTED_SECONDS, False, "s", f"median {typical[0]:.1f} s"),
        Result("a click in the choice, slowest", chosen, CHOSEN_SECONDS, False, "s", f"median {typical[1]:.1f} s"),
    ]


@contextmanager
def distributed(stage: Stage, content: Content) -> Iterator[tuple[Target, Place]]:
    """The service with one worker in front of Kafka and Cassandra; consumers are up to the caller."""
    directory = stage.directory / "distributed"
    directory.mkdir(parents=True)
    place = Place(directory, stage.kafka, make_keyspace(stage.cassandra), partitions=4)
    given = {
        "storage_backend": "cassandra",
        "secrets_token_keys": f"1:{TOKEN_KEY.hex()}",
        "secrets_customer_key": CUSTOMER_KEY.hex(),
        "cassandra_hosts": ",".join(place.cassandra.hosts),
        "cassandra_port": place.cassandra.port,
        "cassandra_keyspace": place.cassandra.keyspace,
        "cassandra_datacenter": place.cassandra.datacenter,
        "kafka_bootstrap": stage.kafka.bootstrap,
        "kafka_topic": place.topic.name,
    }
    service = Service(directory, workers=1, **given)
    key = fill_store(CassandraStore(place.cassandra), content)
    try:
        service.start()
        yield Target(service, content, key, Keyring({1: TOKEN_KEY}, 1, CUSTOMER_KEY)), place
    finally:
        service.close()
        place.close()


class Client:
    """One connection that is kept."""

    def __init__(self, target: Target, key: str = "") -> None:
        self._connection = HTTPConnection(target.service.host, target.service.port, timeout=30)
        self._headers = {"Authorization": f"Bearer {key or target.key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: str | None = None) -> bytes:
        """The answer's body. Raises CannotMeasure when it is refused."""
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 202):
            raise CannotMeasure(f"{method} {path} was answered {answer.status}: {content[:200]!r}")
        return content


def paced(target: Target, seconds: float) -> list[float]:
    """How long each of REQUESTS_PER_SECOND requests took, in seconds from when it was due."""
    client, times = Client(target), []
    slots, cities = names("slot", CONTENT.slots), names("city", CONTENT.cities)
    started = time.perf_counter()
    for number in range(int(seconds * REQUESTS_PER_SECOND)):
        due = started + number / REQUESTS_PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        client.ask("GET", f"/banner?slot={slots[number % len(slots)]}&city={cities[number % len(cities)]}")
        times.append(time.perf_counter() - due)
    return times


@contextmanager
def background(target: Target) -> Iterator[None]:
    """EVENTS_PER_SECOND impressions meanwhile."""
    stop = threading.Event()

    def run() -> None:
        client, number, started = Client(target), 0, time.perf_counter()
        while not stop.wait(max(0.0, started + number / EVENTS_PER_SECOND - time.perf_counter())):
            client.ask("GET", f"/banner?slot=slot-{1 + number % CONTENT.slots}&city=city-{1 + number % 10}")
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def probe(target: Target, reader: str, store: CassandraStore, number: int) -> tuple[float, float]:
    """Seconds until the one click in this slot and in a city of its own is counted, and until an explanation (with a
    key of role read) has it."""
    slot, city, client, reading = f"slot-{number}", f"city-{20 + number}", Client(target), Client(target, reader)
    token = json.loads(client.ask("GET", f"/banner?slot={slot}&city={city}"))["token"]
    day = verify(token, target.keyring).day
    client.ask("POST", "/click", json.dumps({"token": token}))
    answered = time.perf_counter()

    def is_counted() -> bool:
        return any(row.city == city and row.clicks for row in store.counts(TENANT, slot, day, day))

    def is_known() -> bool:
        answer = json.loads(reading.ask("GET", f"/banner?slot={slot}&city={city}&explain=1"))
        return any(row["clicks"] for row in answer["banners"])

    return _seconds_until(is_counted, answered), _seconds_until(is_known, answered)


def _seconds_until(holds: Callable[[], bool], since: float) -> float:
    while not holds():
        if time.perf_counter() - since > GIVE_UP_SECONDS:
            raise CannotMeasure(f"a click was not counted within {GIVE_UP_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - since

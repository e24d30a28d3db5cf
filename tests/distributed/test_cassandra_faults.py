"""Cassandra loses a node, stands still, or is not there: banners are served, and what was acknowledged is counted."""

import itertools
import time
from pathlib import Path

import pytest

from bandit.model import Role
from services.cassandra import Cassandra
from storage.cassandra_session import CassandraOptions
from tests.backends import environment
from tests.conftest import StartService
from tests.counting.group import Place
from tests.distributed.installed import frozen, kept
from tests.service.ledger import Ledger, complaints
from tests.service.load import load
from tests.service.shop import Shop
from tests.services_fixtures import make_keyspace

REQUESTS_PER_SECOND = 300
PAUSE_SECONDS = 0.035
"""Of eight visitors between two impressions; every other impression is viewed or clicked."""
HEALTHY_SECONDS = 5
FROZEN_SECONDS = 30
WITHOUT_A_NODE_SECONDS = 15
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def options(cassandra_cluster: Cassandra) -> CassandraOptions:
    """Three nodes, and everything on each of them."""
    return make_keyspace(cassandra_cluster)


@pytest.fixture
def shop(service: StartService) -> Shop:
    return Shop(service(workers=2, snapshot_save_seconds=1), f"shop-{next(NUMBERS)}")


def check(shop: Shop, place: Place, ledger: Path, seconds: float) -> None:
    """Every request was answered as it should be, and all of it is counted, once."""
    shop.settle()
    written = Ledger.read(ledger)
    requests = len(written.customers) + sum(written.tried.values())
    print(f"{requests} requests, {requests / seconds:.0f} a second")
    assert len(written.customers) == len(written.impressions) > HEALTHY_SECONDS * REQUESTS_PER_SECOND / 4
    assert written.tried == written.acknowledged
    key = bytes.fromhex(environment(place.cassandra)["BANNER_SECRETS_CUSTOMER_KEY"])
    assert complaints(written, kept(place, shop.tenant), key, shop.tenant) == []


def pause(seconds: float) -> None:
    """Let visitors come for a while."""
    time.sleep(seconds)


@pytest.mark.slow
def test_nobody_notices_that_one_of_three_nodes_is_killed_and_comes_back(
    shop: Shop, place: Place, cassandra_cluster: Cassandra, tmp_path: Path
) -> None:
    started = time.monotonic()
    with load(shop, tmp_path / "ledger", pause_seconds=PAUSE_SECONDS):
        pause(HEALTHY_SECONDS)
        cassandra_cluster.kill(1)
        pause(WITHOUT_A_NODE_SECONDS)
        cassandra_cluster.start_one(1)
        pause(HEALTHY_SECONDS)
    check(shop, place, tmp_path / "ledger", time.monotonic() - started)


@pytest.mark.slow
def test_all_nodes_stand_still_for_half_a_minute_and_every_banner_is_served(
    shop: Shop, place: Place, cassandra_cluster: Cassandra, tmp_path: Path
) -> None:
    started = time.monotonic()
    with load(shop, tmp_path / "ledger", pause_seconds=PAUSE_SECONDS):
        pause(HEALTHY_SECONDS)
        with frozen(cassandra_cluster):
            pause(FROZEN_SECONDS)
            assert shop.ready() == (200, "degraded")
        pause(HEALTHY_SECONDS)
    check(shop, place, tmp_path / "ledger", time.monotonic() - started)


@pytest.mark.slow
def test_without_cassandra_a_service_comes_up_from_its_snapshot_and_says_degraded(
    shop: Shop, place: Place, cassandra_cluster: Cassandra
) -> None:
    token = shop.banner().json["token"]
    assert shop.service.stop() == 0
    for number in range(3):
        cassandra_cluster.kill(number)
    shop.service.start()
    try:
        assert shop.every_worker(lambda: shop.ready() == (200, "degraded"))
        answer = shop.banner()
        assert answer.json["recorded"] and "X-Snapshot-Age" in answer.headers
        assert {shop.click(one).status for one in (token, answer.json["token"])} == {202}
        report = shop.service.request("GET", "/reports/banner?slot=home", key=shop.keys[Role.READ])
        assert report.status == 503
    finally:
        cassandra_cluster.start()
    shop.service.wait_until(lambda: shop.every_worker(lambda: shop.ready() == (200, "ok")), "ok", 120)
    shop.settle()
    assert shop.report() == {"served": 2, "viewed": 2, "clicks": 2}

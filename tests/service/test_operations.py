"""What operators rely on: a log that may be shown to others, a journal that is synced, and an end within 15 seconds."""

import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bandit.model import Role
from serving.secret_file import load_or_create
from storage.drain_status import backlog_bytes
from tests.conftest import StartService
from tests.service.shop import Shop
from tests.service_process import Service

CUSTOMER = "customer-4711-of-the-test"
STOP_SECONDS = 15
"""What README.md promises of SIGTERM."""


# --- nothing in the log says who came or opens a door ---


def test_no_customer_and_no_key_gets_into_the_log(service: StartService) -> None:
    running = service(workers=2, log_level="DEBUG")
    shop = Shop(running)
    shop.keys[Role.SERVE] = made_key(shop, Role.SERVE)
    ask_rightly(shop)
    ask_wrongly(shop)
    with away(running.store_path):
        running.wait_until(lambda: shop.ready()[1] == "degraded", "aware that the store is away")
        ask_rightly(shop)
        ask_wrongly(shop)
    os.kill(running.pids("web worker")[0], signal.SIGKILL)
    running.stop()
    log = running.log()
    assert "the store is away" in log  # it does tell of requests that went wrong
    assert [secret for secret in secrets_of(shop) if secret in log] == []


def made_key(shop: Shop, role: str) -> str:
    made = shop.service.request("POST", "/admin/keys", json={"role": role}, key=shop.keys[Role.ADMIN])
    text: str = made.json["key"]
    shop.service.wait_until(lambda: shop.every_worker(lambda: shop.banner(text).status == 200), "serving the new key")
    return text


def ask_rightly(shop: Shop) -> None:
    """Calls of every role; what needs the store may be refused."""
    token = shop.banner(customer_id=CUSTOMER).json["token"]
    assert shop.click(token).status == 202
    assert shop.events([{"kind": "view", "token": token}]).status == 200
    for path in ("/reports/banner?slot=home", "/reports/clicks?city=pune&day=2026-01-01", "/admin/keys"):
        shop.service.request("GET", path, key=shop.keys[Role.ADMIN])
    shop.service.request("GET", f"/banner?slot=home&customer_id={CUSTOMER}&key={shop.keys[Role.SERVE]}")


def ask_wrongly(shop: Shop) -> None:
    """A customer and a key wherever one might put them by mistake."""
    request = shop.service.request
    for key in shop.keys.values():
        query = f"customer_id={CUSTOMER}&key={key}"
        for path in ("/banner", "/reports/banner", "/admin/slots", "/nowhere", "/go/x"):
            request("GET", f"{path}?slot=home&slot=home&{query}", key=f"{key}x")
        for path in ("/click", "/events", "/admin/keys", "/admin/slots"):
            request("POST", path, json={"customer_id": CUSTOMER, "key": key, "role": key}, key=key)
            request("POST", path, body=f'{{"{CUSTOMER}": "{key}'.encode(), headers={"Authorization": key})


def secrets_of(shop: Shop) -> Iterator[str]:
    """What the log must not hold: the customer, the secret part of every key, and the keys of the installation."""
    yield CUSTOMER
    yield from (key.rpartition("_")[2] for key in shop.keys.values())
    keyring = load_or_create(shop.service.data / "secrets.json")
    yield from (key.hex() for key in (keyring.customer_key, *keyring.token_keys.values()))


@contextmanager
def away(path: Path) -> Iterator[None]:
    """A file that is not where it was."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


# --- journal.sync = always ---


def test_a_service_that_syncs_every_event_counts_what_it_answered_before_it_was_killed(service: StartService) -> None:
    running = service(workers=2, journal_sync="always")
    shop = Shop(running)
    tokens = [shop.banner(customer_id=str(number)).json["token"] for number in range(20)]
    assert all(shop.click(token).status == 202 for token in tokens)
    running.kill_group()
    running.start()
    shop.settle()
    running.wait_until(lambda: shop.banner(Role.READ, explain="1").status == 200, "serving the shop")
    assert shop.report() == {"served": 20, "viewed": 20, "clicks": 20}


# --- SIGTERM ---


@pytest.mark.slow
def test_it_stops_in_time_with_requests_that_never_end_and_a_store_that_is_locked(service: StartService) -> None:
    running = service(workers=2)
    shop = Shop(running)
    token = shop.banner().json["token"]
    shop.settle()
    with locked(running.store_path):
        assert shop.click(token).status == 202
        with hanging(running, 4):
            os.kill(running.pid, signal.SIGTERM)
            running.wait_for_exit(STOP_SECONDS)
    assert backlog_bytes(running.data / "journal")
    running.start()
    shop.settle()
    assert shop.report() == {"served": 1, "viewed": 1, "clicks": 1}


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Somebody writes to the store and does not come to an end."""
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def hanging(service: Service, times: int) -> Iterator[None]:
    """Requests that are never sent completely."""
    connections = [socket.create_connection((service.host, service.port), timeout=20) for _ in range(times)]
    try:
        for connection in connections:
            connection.sendall(b"POST /click HTTP/1.1\r\nHost: test\r\nContent-Length: 16\r\n\r\n{")
        yield
    finally:
        for connection in connections:
            connection.close()

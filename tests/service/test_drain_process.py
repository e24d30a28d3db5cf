import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from processes import drain
from settings import Settings, load
from storage.base import SchemaVersionError, StoreUnavailable
from storage.drain import is_alive
from storage.sqlite import SqliteStore
from tests.commands.stored_events import recorder, served_count
from tests.service_process import wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config.ini").write_text(f"[data]\ndirectory = {tmp_path / 'data'}\n")
    return load({}, tmp_path / "config.ini")


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=drain.run, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def serve_one(settings: Settings) -> None:
    with recorder(settings.paths) as writing:
        writing.serve()


def has_counted_one(settings: Settings) -> bool:
    try:
        return served_count(settings.paths) == 1
    except StoreUnavailable:
        return False


def test_the_drain_makes_the_store_and_delivers_into_it(settings: Settings) -> None:
    with running(settings):
        serve_one(settings)
        wait_until(partial(has_counted_one, settings), "delivered")


def test_what_is_left_is_delivered_before_the_drain_ends(settings: Settings) -> None:
    with running(settings):
        wait_until(lambda: is_alive(settings.paths.journal), "alive")
        serve_one(settings)
    assert served_count(settings.paths) == 1


def test_the_drain_is_alive_while_the_store_is_not_and_delivers_when_it_is_back(settings: Settings) -> None:
    settings.paths.make()
    settings.paths.database.mkdir()
    with running(settings):
        serve_one(settings)
        wait_until(lambda: is_alive(settings.paths.journal), "alive")
        settings.paths.database.rmdir()
        wait_until(partial(has_counted_one, settings), "delivered")


def test_a_store_of_a_newer_release_ends_the_drain(settings: Settings) -> None:
    settings.paths.make()
    store = SqliteStore.open(settings.paths.database)
    with store._connections.outside_transactions() as connection:
        connection.execute("PRAGMA user_version = 1000")
    with pytest.raises(SchemaVersionError):
        drain.run(settings, threading.Event())

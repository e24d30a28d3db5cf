"""A whole installation inside the test's process, with a clock that the test moves."""

import io
import json as json_format
import random
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import numpy as np

from bandit.event import BannerEvent, decode
from bandit.model import Banner, CountRow, Role, Slot, Tenant
from serving.keyring import Keyring
from serving.keys import new_key
from serving.page_memory import PageMemory
from serving.snapshot import Snapshot
from serving.snapshot_file import SnapshotFile
from serving.verdict import Judge
from storage.base import EventSink, Record, Refusal
from storage.drain import drain
from storage.drain_status import is_alive
from storage.journal import Journal
from tests.backends import Backend, Embedded
from web.application import BannerApplication, build
from web.visitors import Visitors
from web.worker import Worker

NOON_IN_INDIA = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
CITIES = {"pune": ("Poona",), "mumbai": ("Bombay",), "new-delhi": ("Delhi",)}
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000


class Reply(NamedTuple):
    """What a call answered."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body read as JSON."""
        return json_format.loads(self.body)


class Installation:
    """Store, journal, worker and application of one tenant `shop` with a slot `home` of three banners."""

    def __init__(
        self,
        directory: Path,
        *,
        backend: Backend | None = None,
        slot: Slot | None = None,
        banners: int = 3,
        max_journal_bytes: int = 1 << 30,
        trusted_proxies: Any = (),
        city_header: str = "",
        per_minute: int = 1000,
        seed: int = 1,
    ) -> None:
        self.directory = directory
        self.now = NOON_IN_INDIA
        self.backend = backend or Embedded(directory)
        self.store, self.sink = self.backend.open()
        self.keys: dict[str, str] = {}
        self.keyring = Keyring({1: b"k" * 32}, 1, b"c" * 32)
        self._configure(slot or Slot("home"), banners)
        self.journal = Journal.open(directory / "journal", max_bytes=max_journal_bytes)
        self.snapshot = Snapshot(
            self.store,
            SnapshotFile(directory / "snapshot" / "snapshot.json"),
            clock=self.clock_us,
            rng=np.random.default_rng(seed),
            refresh_seconds=3600,
        )
        judge = Judge(impressions_per_minute=per_minute, clicks_per_minute=per_minute, too_fast_us=200_000)
        self.worker = Worker(
            snapshot=self.snapshot,
            journal=self.journal,
            journal_directory=directory / "journal",
            metrics_directory=directory / "metrics",
            keyring=self.keyring,
            judge=judge,
            visitors=Visitors(trusted_proxies),
            public_url="",
            city_header=city_header,
            clock=self.clock_us,
            rng=random.Random(seed),
        )
        self.snapshot.refresh(preload=True)

    def _configure(self, slot: Slot, banners: int) -> None:
        tenant = Tenant("shop", cities=CITIES, segments=("gold",), origins=("https://shop.example",))
        self.store.put_tenant("shop", tenant)
        self.store.put_slot("shop", slot)
        for number in range(1, banners + 1):
            self.put_banner(f"b{number}", slot=slot.id)
        for role in Role:
            key, text = new_key(None if role is Role.OPERATOR else "shop", role, self.now)
            self.store.put_key(key)
            self.keys[role] = text

    @cached_property
    def app(self) -> BannerApplication:
        """The application, which takes a tenth of a second to make."""
        return build(
            store=self.store,
            configuration=self.snapshot.current,
            door=self.worker.door,
            ready=self.worker.ready,
            metrics=self.worker.metrics.render,
            media_directory=self.directory / "media",
            jobs_directory=self.directory / "jobs",
            now=lambda: self.now,
            insight=self.worker.insight,
            memory=PageMemory(self.store, self.directory / "daily_counts.json"),
        )

    def put_banner(self, banner: str, *, slot: str = "home", **changes: Any) -> None:
        """Create or replace a banner; acts after refresh()."""
        landing = f"https://shop.example/{banner}"
        value = Banner(slot, banner, f"/media/shop/{banner}.png", landing, **changes)
        self.store.put_banner("shop", value)

    def clock_us(self) -> int:
        """The test's clock, in microseconds since 1970 UTC."""
        return (self.now - EPOCH) // timedelta(microseconds=1)

    def sleep(self, **duration: float) -> None:
        """Let time pass."""
        self.now += timedelta(**duration)

    def refresh(self) -> None:
        """What the background thread does every two seconds."""
        self.snapshot.refresh()

    def settle(self, sink: EventSink | None = None) -> None:
        """Deliver everything journaled, and let the snapshot learn of it."""
        stop = threading.Event()
        directory = self.directory / "journal"
        thread = threading.Thread(target=drain, args=(directory, sink or self.sink), kwargs={"stop": stop})
        thread.start()
        while not is_alive(directory):
            stop.wait(0.001)
        stop.set()
        thread.join()
        self.refresh()

    def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "server",
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request through the WSGI application; `key` is a role, or None for no key."""
        content = json_format.dumps(json).encode() if body is None and json is not None else body or b""
        parts = urlsplit(path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "SERVER_NAME": "banner.example",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "banner.example",
            "REMOTE_ADDR": "203.0.113.7",
            "CONTENT_LENGTH": str(len(content)),
            "CONTENT_TYPE": "application/json",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(content),
            "wsgi.errors": io.StringIO(),
        }
        if key is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.keys.get(key, key)}"
        for name, value in (headers or {}).items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return _run(self.app, environ)

    def banner(self, key: str | None = "server", **query: str) -> Reply:
        """GET /banner of the slot `home`."""
        return self.call("GET", "/banner?" + urlencode({"slot": "home"} | query), key=key)

    def click(self, token: str, **options: Any) -> Reply:
        """POST /click."""
        return self.call("POST", "/click", json={"token": token}, **options)

    def view(self, token: str, **options: Any) -> Reply:
        """POST /view."""
        return self.call("POST", "/view", json={"token": token}, **options)

    def counts(self, slot: str = "home") -> list[CountRow]:
        """All counts of a slot, of less than 200 days before and after now."""
        today = self.clock_us() // DAY_US
        return self.store.counts("shop", slot, today - 200, today + 200)

    def totals(self, slot: str = "home") -> tuple[int, int, int]:
        """Served, viewed, clicks."""
        rows = self.counts(slot)
        return sum(row.served for row in rows), sum(row.viewed for row in rows), sum(row.clicks for row in rows)

    def journaled(self) -> list[BannerEvent]:
        """What waits in the journal; delivers it to nobody in particular, so counts do not move."""
        sink = _Keep()
        self.settle(sink)
        return [decode(record.payload) for record in sink.records]

    def close(self) -> None:
        """End threads and connections."""
        self.worker.stop()
        self.store.close()
        self.backend.close()


class _Keep(EventSink):
    def __init__(self) -> None:
        self.records: list[Record] = []

    def deliver(self, records: Any) -> list[Refusal]:
        self.records += records
        return []


def _run(app: BannerApplication, environ: dict[str, Any]) -> Reply:
    answer: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], error: Any = None, /) -> Any:
        answer[:] = status, headers

    body = b"".join(app(environ, start_response))
    status, headers = answer
    return Reply(int(status[:3]), {name.lower(): value for name, value in headers}, body)

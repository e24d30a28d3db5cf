"""An application over a real store in a directory of its own, and clients of every role."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from werkzeug.test import Client, TestResponse

from bandit.model import Banner, Role, Slot, Tenant
from serving.keyring import Keyring
from serving.keys import new_key
from serving.snapshot import Snapshot
from serving.snapshot_file import SnapshotFile
from serving.verdict import Judge
from storage.journal import Journal
from storage.sqlite import SqliteStore
from web.application import BannerApplication, build
from web.visitors import Visitors
from web.worker import Worker

NOW = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
"""Already 1 February in Asia/Kolkata."""
NOW_US = int(NOW.timestamp() * 1_000_000)
PICTURE_URL = "https://pictures.example/a.png"
LANDING_URL = "https://shop.example/sale"


@dataclass
class Side:
    """The application with tenants `acme` and `other`, and what tests need of it."""

    app: BannerApplication
    store: SqliteStore
    worker: Worker
    directory: Path
    keys: Mapping[str, str]
    """Key texts: operator, and serve, server, read, admin of acme, and other for the admin of the other tenant."""

    def call(self, method: str, path: str, key: str | None = "admin", **how: Any) -> TestResponse:
        """One request with the key of that name; `json=` and the other arguments are werkzeug's."""
        headers = {**how.pop("headers", {})}
        if key is not None:
            headers["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        return Client(self.app).open(path, method=method, headers=headers, **how)

    def refused(self, status: int, field: str | None, method: str, path: str, key: str | None = "admin", **how: Any) -> str:
        """The message of an answer that must be this refusal."""
        answer = self.call(method, path, key, **how)
        assert answer.status_code == status, answer.text
        assert answer.json is not None
        assert set(answer.json) == {"error"} and set(answer.json["error"]) == {"code", "message", "field"}
        assert answer.json["error"]["field"] == field, answer.text
        return str(answer.json["error"]["message"])


def make(directory: Path) -> Side:
    """Everything real: store, journal, door; only the clock stands still."""
    store = SqliteStore.open(directory / "banner.db")
    keys = _fill(store)
    snapshot = Snapshot(
        store, SnapshotFile(directory / "snapshot.json"), clock=lambda: NOW_US, rng=np.random.default_rng(1)
    )
    worker = Worker(
        snapshot=snapshot,
        journal=Journal.open(directory / "journal"),
        journal_directory=directory / "journal",
        metrics_directory=directory / "metrics",
        keyring=Keyring({1: b"k" * 32}, 1, b"c" * 32),
        judge=Judge(impressions_per_minute=10**9, clicks_per_minute=10**9, too_fast_us=0),
        visitors=Visitors(()),
        public_url="",
        city_header="",
        clock=lambda: NOW_US,
    )
    snapshot.refresh()
    app = build(
        store=store,
        configuration=store.configuration,
        door=worker.door,
        ready=worker.ready,
        metrics=worker.metrics.render,
        media_directory=directory / "media",
        jobs_directory=directory / "jobs",
        now=lambda: NOW,
    )
    return Side(app, store, worker, directory, keys)


def banner(identifier: str, **fields: Any) -> dict[str, Any]:
    """The body of a banner that may be made."""
    return {"id": identifier, "image_url": PICTURE_URL, "landing_url": LANDING_URL, **fields}


def _fill(store: SqliteStore) -> dict[str, str]:
    acme = Tenant("acme", platforms=("web", "app"), cities={"mumbai": ("Bombay",), "pune": ()}, segments=("new",))
    store.put_tenant("acme", acme)
    store.put_tenant("other", Tenant("other"))
    store.put_slot("acme", Slot("home"))
    store.put_banner("acme", Banner("home", "sale", PICTURE_URL, LANDING_URL))
    wanted = {str(role): ("acme", role) for role in (Role.SERVE, Role.SERVER, Role.READ, Role.ADMIN)}
    texts = {}
    for name, (tenant, role) in {**wanted, "other": ("other", Role.ADMIN), "operator": (None, Role.OPERATOR)}.items():
        key, texts[name] = new_key(tenant, role, NOW)
        store.put_key(key)
    return texts

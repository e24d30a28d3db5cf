"""The Flask side of an installation: clients of every role, and a second tenant that must stay apart."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from bandit.model import Role, Tenant
from serving.keys import new_key
from serving.page_memory import PageMemory
from storage.base import Store
from tests.backends import Backend
from tests.installation import Installation
from web.application import BannerApplication, build

NOW = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
"""Already 1 February in Asia/Kolkata."""
PICTURE_URL = "https://pictures.example/a.png"
LANDING_URL = "https://shop.example/sale"


@dataclass
class Side:
    """An application where a change acts at once: `shop` with a slot `home` of b1, b2, b3; and `other`."""

    installation: Installation
    app: BannerApplication
    keys: Mapping[str, str]
    """Key texts by role, those of shop where a tenant is needed; `other` is the admin of the other tenant."""

    @property
    def store(self) -> Store:
        """What everything is kept in."""
        return self.installation.store

    def call(self, method: str, path: str, key: str | None = "admin", **how: Any) -> Any:
        """One request with the key of that name, answered as by werkzeug's client; `json=` and the rest are its too."""
        headers = {**how.pop("headers", {})}
        if key is not None:
            headers["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        return Client(self.app).open(path, method=method, headers=headers, **how)

    def get(self, path: str, key: str = "admin") -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.call("GET", path, key)
        assert answer.status_code == 200, answer.text
        return answer.json

    def refused(
        self, status: int, field: str | None, method: str, path: str, key: str | None = "admin", **how: Any
    ) -> str:
        """The message of an answer that must be this refusal."""
        answer = self.call(method, path, key, **how)
        assert answer.status_code == status, answer.text
        assert set(answer.json) == {"error"} and set(answer.json["error"]) == {"code", "message", "field"}
        assert answer.json["error"]["field"] == field, answer.text
        return str(answer.json["error"]["message"])

    def close(self) -> None:
        """Release files and connections."""
        self.installation.close()


def make(directory: Path, backend: Backend) -> Side:
    """Everything real but the time."""
    installation = Installation(directory, backend=backend)
    installation.now = NOW
    store = installation.store
    shop = store.configuration().tenants["shop"]
    store.put_tenant("shop", replace(shop, platforms=("web", "app")))
    store.put_tenant("other", Tenant("other"))
    other, text = new_key("other", Role.ADMIN, NOW)
    store.put_key(other)
    app = build(
        store=store,
        configuration=store.configuration,
        door=installation.worker.door,
        ready=installation.worker.ready,
        metrics=installation.worker.metrics.render,
        media_directory=directory / "media",
        jobs_directory=directory / "jobs",
        now=lambda: NOW,
        insight=installation.worker.insight,
        memory=PageMemory(store, directory / "daily_counts.json"),
    )
    return Side(installation, app, {**installation.keys, "other": text})


def before_write(
    side: Side, monkeypatch: pytest.MonkeyPatch, method: str, act: Callable[[], object], *, times: int = 1
) -> None:
    """Let somebody else act between a change's reading and its writing, the first `times` times."""
    write, left = getattr(side.store, method), [act] * times

    def delayed(*arguments: Any, **options: Any) -> None:
        if left:
            left.pop()()
        write(*arguments, **options)

    monkeypatch.setattr(side.store, method, delayed)


def banner(identifier: str, **fields: Any) -> dict[str, Any]:
    """The body of a banner that may be made."""
    return {"id": identifier, "image_url": PICTURE_URL, "landing_url": LANDING_URL, **fields}

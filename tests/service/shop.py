"""A tenant of a running service, and what the tests of the service ask for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from bandit.model import Banner, Role, Slot, Tenant
from serving.keys import new_key
from storage.base import Store
from storage.drain_status import backlog_bytes
from storage.sqlite import SqliteStore
from tests.http_client import Answer
from tests.service_process import Service

TENANT = "shop"
CITIES = ("pune", "mumbai", "new-delhi")
SLOTS = ("home", "cart")
MANY = 60
"""So many fresh connections leave one of four workers out in fewer than one case of a million."""


class Shop:
    """A tenant with two slots of three banners, known to all workers."""

    def __init__(self, service: Service, tenant: str = TENANT, *, store: Store | None = None) -> None:
        """`store` is the service's, if not the embedded one; it is closed."""
        self.service = service
        self.tenant = tenant
        self.keys: dict[str, str] = {}
        self._configure(store or SqliteStore(service.store_path))
        service.wait_until(lambda: self.every_worker(self.is_known), "serving the shop")

    def _configure(self, store: Store) -> None:
        store.put_tenant(self.tenant, Tenant(self.tenant, cities=dict.fromkeys(CITIES, ())))
        for slot in SLOTS:
            store.put_slot(self.tenant, Slot(slot, half_life_days=None))
            for banner in ("b1", "b2", "b3"):
                store.put_banner(self.tenant, Banner(slot, banner, "/b.png", f"https://shop.example/{banner}"))
        for role in (Role.SERVER, Role.READ, Role.ADMIN):
            key, text = new_key(self.tenant, role, datetime.now(UTC))
            store.put_key(key)
            self.keys[role] = text
        store.close()

    def is_known(self) -> bool:
        """Whether a worker could serve; nothing is recorded."""
        return self.banner(Role.READ, explain="1").status == 200

    @staticmethod
    def every_worker(holds: Callable[[], bool]) -> bool:
        """Whether it holds for so many connections that no worker was left out."""
        return all(holds() for _ in range(MANY))

    def banner(self, key: str = Role.SERVER, **query: str) -> Answer:
        """GET /banner of the slot `home`, on a connection of its own."""
        asked = urlencode({"slot": "home", "city": "pune"} | query)
        return self.service.request("GET", f"/banner?{asked}", key=self.keys.get(key, key))

    def explained(self) -> dict[str, dict[str, Any]]:
        """How one worker would choose now, by banner."""
        return {row["banner"]: row for row in self.banner(Role.READ, explain="1").json["banners"]}

    def click(self, token: str) -> Answer:
        """POST /click."""
        return self.service.request("POST", "/click", json={"token": token}, key=self.keys[Role.SERVER])

    def events(self, events: list[dict[str, str]]) -> Answer:
        """POST /events."""
        return self.service.request("POST", "/events", json={"events": events}, key=self.keys[Role.SERVER])

    def report(self) -> dict[str, int]:
        """Served, viewed and clicks of the slot `home`, as the report by banner has them."""
        rows = self.service.request("GET", "/reports/banner?slot=home", key=self.keys[Role.READ]).json["rows"]
        return {name: sum(row[name] for row in rows) for name in ("served", "viewed", "clicks")}

    def ready(self) -> tuple[int, str]:
        """Status and state of one worker."""
        answer = self.service.request("GET", "/readyz")
        return answer.status, answer.json["state"]

    def settle(self) -> None:
        """Wait until everything journaled has been delivered."""
        journal = self.service.data / "journal"
        self.service.wait_until(lambda: backlog_bytes(journal) == 0, "drained", 60)

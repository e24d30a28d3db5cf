"""What the stores of the benchmarks hold: a tenant, slots with banners, a key, and counts where they are asked for."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

from bandit.event import BannerEvent, encode
from bandit.model import Banner, Kind, Policy, Reason, Role, Slot, Tenant, Verdict
from bandit.zone import day_of
from serving.keys import new_key
from serving.token import impression_id
from storage.base import Record, Store
from storage.sqlite import SqliteStore

TENANT = "shop"
BATCH_RECORDS = 20_000


class Content(NamedTuple):
    """How much there is; ids are slot-1, city-1, banner-1 and so on."""

    slots: int
    cities: int
    banners: int
    """In each slot."""

    @property
    def cells(self) -> int:
        return self.slots * self.cities * self.banners


def fill(path: Path, content: Content) -> str:
    """Make a store at this path; the text of a server key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return fill_store(SqliteStore.open(path), content)


def fill_store(store: Store, content: Content) -> str:
    """The same in a store that is there, which is closed."""
    tenant = Tenant(TENANT, cities=dict.fromkeys(names("city", content.cities), ()))
    store.put_tenant(TENANT, tenant)
    for slot in names("slot", content.slots):
        store.put_slot(TENANT, Slot(slot, width=300, height=250, holdout_share=0.05))
        for banner in names("banner", content.banners):
            url = f"https://shop.example.com/{banner}"
            store.put_banner(TENANT, Banner(slot, banner, f"/media/shop/{banner}.png", url, alt="An offer"))
    key, text = new_key(TENANT, Role.SERVER, datetime.now(UTC))
    store.put_key(key)
    store.close()
    return text


def count_every_cell(path: Path, content: Content) -> None:
    """Let the store count one impression in every cell, as the drain would have it."""
    store = SqliteStore(path)
    records = _one_of_each(content)
    while batch := list(islice(records, BATCH_RECORDS)):
        refused = store.deliver(batch)
        assert not refused, refused[0].reason
    store.close()


def names(kind: str, count: int) -> list[str]:
    """`kind`-1 to `kind`-`count`."""
    return [f"{kind}-{number}" for number in range(1, count + 1)]


def _one_of_each(content: Content) -> Iterator[Record]:
    now_us = time.time_ns() // 1000
    day = day_of(now_us, Tenant(TENANT).time_zone)
    cells = product(names("slot", content.slots), names("city", content.cities), names("banner", content.banners))
    for sequence, (slot, city, banner) in enumerate(cells, 1):
        event = BannerEvent(
            Kind.SERVED,
            impression_id(now_us, sequence),
            TENANT,
            slot,
            city,
            banner,
            Policy.LEARNED,
            day,
            served_at=now_us,
            received_at=now_us,
            propensity=1 / content.banners,
            reason=Reason.LEARNED,
            verdict=Verdict.ACCEPTED,
            platform="web",
            journal=1,
            sequence=sequence,
        )
        yield Record(event.shard, encode(event))

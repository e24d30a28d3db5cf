"""A slot to seed, and the seeding command."""

from collections.abc import Mapping
from pathlib import Path

from bandit.model import Banner, Slot, Tenant
from storage.seed_cold_start import main
from storage.sqlite import SqliteStore


def configure(
    store: SqliteStore, tenant: str, slot: str, banners: list[str], cities: Mapping[str, tuple[str, ...]]
) -> None:
    """A tenant with one slot of these banners, and these cities."""
    store.put_tenant(tenant, Tenant(tenant, cities=cities))
    store.put_slot(tenant, Slot(slot))
    for banner in banners:
        store.put_banner(tenant, Banner(slot, banner, "/media/picture.png", "https://shop.example/"))


def command(directory: Path, *options: str, tenant: str = "shop", slot: str = "hero") -> int:
    """Run it on the store in this directory; its exit code."""
    return main([*options, "--tenant", tenant, "--slot", slot], {"BANNER_DATA_DIRECTORY": str(directory)})

"""Tenants, keys, slots, banners and seeds in SQLite."""

import sqlite3
from collections.abc import Iterable

from bandit.model import ApiKey, Banner, Configuration, Seed, Slot, Tenant
from storage.base import Conflict
from storage.documents import dump, load
from storage.sqlite_connections import Connected

SLOT_TABLES = ("banners", "seeds", "slots")
TENANT_TABLES = (*SLOT_TABLES, "api_keys", "tenants")
# How the ids of what is about to be deleted are remembered: the counts stay, so the ids stay taken.
RETIRED = {
    "tenants": "INSERT OR IGNORE INTO retired_tenants SELECT tenant FROM tenants",
    "slots": "INSERT OR IGNORE INTO retired_slots SELECT tenant, slot FROM slots",
    "banners": "INSERT OR IGNORE INTO retired_banners SELECT tenant, slot, banner FROM banners",
}


class ConfigurationTables(Connected):
    """The configuration half of the store contract."""

    def configuration_version(self) -> int:
        with self._connections.reading() as connection:
            return _version(connection)

    def configuration(self) -> Configuration:
        with self._connections.reading() as connection:
            return _read(connection)

    def put_tenant(self, tenant: str, value: Tenant, *, expected_version: int | None = None) -> None:
        self._put(
            """INSERT INTO tenants (tenant, document) VALUES (?, ?)
               ON CONFLICT (tenant) DO UPDATE SET document = excluded.document""",
            (tenant, dump(value)),
            expected_version,
        )

    def delete_tenant(self, tenant: str) -> bool:
        with self._connections.writing() as connection:
            return _delete(connection, TENANT_TABLES, "tenant = ?", (tenant,)) > 0

    def tenant_was_used(self, tenant: str) -> bool:
        return self._was_used("retired_tenants", "tenant = ?", (tenant,))

    def put_key(self, key: ApiKey, *, expected_version: int | None = None) -> None:
        self._put(
            """INSERT INTO api_keys (key_id, tenant, document) VALUES (?, ?, ?)
               ON CONFLICT (key_id) DO UPDATE SET tenant = excluded.tenant, document = excluded.document""",
            (key.id, key.tenant, dump(key)),
            expected_version,
        )

    def delete_key(self, key_id: str) -> bool:
        with self._connections.writing() as connection:
            return _delete(connection, ("api_keys",), "key_id = ?", (key_id,)) > 0

    def put_slot(self, tenant: str, slot: Slot, *, expected_version: int | None = None) -> None:
        self._put(
            """INSERT INTO slots (tenant, slot, document) VALUES (?, ?, ?)
               ON CONFLICT (tenant, slot) DO UPDATE SET document = excluded.document""",
            (tenant, slot.id, dump(slot)),
            expected_version,
        )

    def delete_slot(self, tenant: str, slot: str) -> bool:
        with self._connections.writing() as connection:
            return _delete(connection, SLOT_TABLES, "tenant = ? AND slot = ?", (tenant, slot)) > 0

    def slot_was_used(self, tenant: str, slot: str) -> bool:
        return self._was_used("retired_slots", "tenant = ? AND slot = ?", (tenant, slot))

    def put_banner(self, tenant: str, banner: Banner, *, expected_version: int | None = None) -> None:
        self._put(
            """INSERT INTO banners (tenant, slot, banner, document) VALUES (?, ?, ?, ?)
               ON CONFLICT (tenant, slot, banner) DO UPDATE SET document = excluded.document""",
            (tenant, banner.slot, banner.id, dump(banner)),
            expected_version,
        )

    def delete_banner(self, tenant: str, slot: str, banner: str) -> bool:
        where, key = "tenant = ? AND slot = ? AND banner = ?", (tenant, slot, banner)
        with self._connections.writing() as connection:
            return _delete(connection, ("banners",), where, key) > 0

    def banner_was_used(self, tenant: str, slot: str, banner: str) -> bool:
        return self._was_used("retired_banners", "tenant = ? AND slot = ? AND banner = ?", (tenant, slot, banner))

    def seeds(self, tenant: str, slot: str) -> list[Seed]:
        with self._connections.reading() as connection:
            return _seeds(connection, "tenant = ? AND slot = ?", (tenant, slot))

    def put_seeds(self, tenant: str, slot: str, seed_id: str, seeds: Iterable[Seed]) -> None:
        wanted = sorted({seed[1:3]: Seed(seed_id, *seed[1:]) for seed in seeds}.values())
        where, key = "tenant = ? AND slot = ? AND seed_id = ?", (tenant, slot, seed_id)
        with self._connections.writing() as connection:
            if _seeds(connection, where, key) == wanted:
                return
            connection.execute(f"DELETE FROM seeds WHERE {where}", key)
            connection.executemany(
                "INSERT INTO seeds (tenant, slot, seed_id, city, banner, trials, clicks) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(tenant, slot, *seed) for seed in wanted],
            )
            _bump_version(connection)

    def delete_seeds(self, tenant: str, slot: str, seed_id: str) -> int:
        where, key = "tenant = ? AND slot = ? AND seed_id = ?", (tenant, slot, seed_id)
        with self._connections.writing() as connection:
            return _delete(connection, ("seeds",), where, key)

    def _was_used(self, retired: str, where: str, key: tuple[str, ...]) -> bool:
        query = f"SELECT EXISTS (SELECT 1 FROM {retired} WHERE {where}) OR EXISTS (SELECT 1 FROM counts WHERE {where})"
        with self._connections.reading() as connection:
            return bool(connection.execute(query, (*key, *key)).fetchone()[0])

    def _put(self, upsert: str, row: tuple[str | None, ...], expected_version: int | None) -> None:
        with self._connections.writing() as connection:
            if expected_version not in (None, _version(connection)):
                raise Conflict("the configuration was changed in the meantime")
            connection.execute(upsert, row)
            _bump_version(connection)


def _version(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = 'configuration_version'").fetchone()
    return int(row[0])


def _bump_version(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'configuration_version'")


def _delete(connection: sqlite3.Connection, tables: tuple[str, ...], where: str, key: tuple[str, ...]) -> int:
    """Delete from every table; how many rows the last one, which holds the thing itself, lost."""
    for table in tables:
        if table in RETIRED:
            connection.execute(f"{RETIRED[table]} WHERE {where}", key)
    removed = [connection.execute(f"DELETE FROM {table} WHERE {where}", key).rowcount for table in tables]
    if any(removed):
        _bump_version(connection)
    return removed[-1]


def _seeds(connection: sqlite3.Connection, where: str, key: tuple[str, ...]) -> list[Seed]:
    columns = "seed_id, city, banner, trials, clicks"
    rows = connection.execute(f"SELECT {columns} FROM seeds WHERE {where} ORDER BY seed_id, city, banner", key)
    return [Seed._make(row) for row in rows]


def _read(connection: sqlite3.Connection) -> Configuration:
    """Everything, but for what lost its owner to a deletion at the same moment."""
    tenants = {row[0]: load(Tenant, row[1]) for row in connection.execute("SELECT tenant, document FROM tenants")}
    keys = (load(ApiKey, row[0]) for row in connection.execute("SELECT document FROM api_keys"))
    slots = {
        (tenant, slot): load(Slot, document)
        for tenant, slot, document in connection.execute("SELECT tenant, slot, document FROM slots")
        if tenant in tenants
    }
    return Configuration(
        version=_version(connection),
        tenants=tenants,
        keys={key.id: key for key in keys if key.tenant is None or key.tenant in tenants},
        slots=slots,
        banners=_read_banners(connection, slots),
    )


def _read_banners(
    connection: sqlite3.Connection, slots: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Banner]]:
    banners: dict[tuple[str, str], dict[str, Banner]] = {key: {} for key in slots}
    for tenant, slot, document in connection.execute("SELECT tenant, slot, document FROM banners ORDER BY created"):
        if (tenant, slot) in banners:
            banner = load(Banner, document)
            banners[(tenant, slot)][banner.id] = banner
    return banners

"""Tenants, keys, slots, banners and seeds in Cassandra."""

from collections.abc import Iterable, Sequence

from bandit.model import ApiKey, Banner, Configuration, Seed, Slot, Tenant
from storage.base import Store
from storage.cassandra_change import Head, Write, change, read_settled, settled_head
from storage.cassandra_session import CONFIGURING, CassandraSession
from storage.documents import dump, load

READ_TENANTS = "SELECT tenant, document FROM tenants"
READ_KEYS = "SELECT document FROM api_keys"
READ_SLOTS = "SELECT tenant, slot, document FROM slots"
READ_BANNERS = "SELECT tenant, slot, document, created FROM banners"
READ_PARTITIONS = "SELECT partitions FROM epochs WHERE scope = 'all' AND epoch = ?"
READ_TENANT = "SELECT tenant FROM tenants WHERE tenant = ?"
READ_KEYS_OF_ALL = "SELECT key_id, tenant FROM api_keys"
READ_KEY = "SELECT key_id FROM api_keys WHERE key_id = ?"
READ_SLOTS_OF = "SELECT slot FROM slots WHERE tenant = ?"
READ_SLOT = "SELECT slot FROM slots WHERE tenant = ? AND slot = ?"
READ_BANNERS_OF = "SELECT banner FROM banners WHERE tenant = ? AND slot = ?"
READ_CREATED = "SELECT created FROM banners WHERE tenant = ? AND slot = ? AND banner = ?"
SEED_COLUMNS = "seed_id, city, banner, trials, clicks"
READ_SEEDS = f"SELECT {SEED_COLUMNS} FROM seeds WHERE tenant = ? AND slot = ?"
READ_SEEDS_OF = f"SELECT {SEED_COLUMNS} FROM seeds WHERE tenant = ? AND slot = ? AND seed_id = ?"


class ConfigurationTables(Store):
    """The configuration half of the store contract."""

    _session: CassandraSession

    def configuration_version(self) -> int:
        return self._note_epoch(settled_head(self._session)).version

    def configuration(self) -> Configuration:
        return read_settled(self._session, self._read)

    def put_tenant(self, tenant: str, value: Tenant, *, expected_version: int | None = None) -> None:
        self._put("tenant", {"tenant": tenant, "document": dump(value)}, expected_version)

    def delete_tenant(self, tenant: str) -> bool:
        return change(self._session, lambda _head, _version: self._without_tenant(tenant))

    def put_key(self, key: ApiKey, *, expected_version: int | None = None) -> None:
        self._put("key", {"key_id": key.id, "tenant": key.tenant, "document": dump(key)}, expected_version)

    def delete_key(self, key_id: str) -> bool:
        def plan(_head: Head, _version: int) -> Sequence[Write]:
            return [("no key", {"key_id": key_id})] if self._rows(READ_KEY, key_id) else []

        return change(self._session, plan)

    def put_slot(self, tenant: str, slot: Slot, *, expected_version: int | None = None) -> None:
        self._put("slot", {"tenant": tenant, "slot": slot.id, "document": dump(slot)}, expected_version)

    def delete_slot(self, tenant: str, slot: str) -> bool:
        def plan(_head: Head, _version: int) -> Sequence[Write]:
            return self._without_slot(tenant, slot) if self._rows(READ_SLOT, tenant, slot) else []

        return change(self._session, plan)

    def put_banner(self, tenant: str, banner: Banner, *, expected_version: int | None = None) -> None:
        values = {"tenant": tenant, "slot": banner.slot, "banner": banner.id, "document": dump(banner)}

        def plan(_head: Head, version: int) -> Sequence[Write]:
            known = self._rows(READ_CREATED, tenant, banner.slot, banner.id)
            return [("banner", {**values, "created": known[0][0] if known else version})]

        change(self._session, plan, expected_version=expected_version)

    def delete_banner(self, tenant: str, slot: str, banner: str) -> bool:
        key = {"tenant": tenant, "slot": slot, "banner": banner}

        def plan(_head: Head, _version: int) -> Sequence[Write]:
            return [("no banner", key), ("retired", key)] if self._rows(READ_CREATED, *key.values()) else []

        return change(self._session, plan)

    def seeds(self, tenant: str, slot: str) -> list[Seed]:
        rows = read_settled(self._session, lambda _head: self._rows(READ_SEEDS, tenant, slot))
        return [Seed._make(row) for row in rows]

    def put_seeds(self, tenant: str, slot: str, seed_id: str, seeds: Iterable[Seed]) -> None:
        wanted = sorted({seed[1:3]: Seed(seed_id, *seed[1:]) for seed in seeds}.values())
        place = {"tenant": tenant, "slot": slot, "seed_id": seed_id}

        def plan(_head: Head, _version: int) -> Sequence[Write]:
            if self._rows(READ_SEEDS_OF, *place.values()) == wanted:
                return []
            return [("no seeds of", place), *(("seed", {**place, **seed._asdict()}) for seed in wanted)]

        change(self._session, plan)

    def delete_seeds(self, tenant: str, slot: str, seed_id: str) -> int:
        place = {"tenant": tenant, "slot": slot, "seed_id": seed_id}
        removed = 0

        def plan(_head: Head, _version: int) -> Sequence[Write]:
            nonlocal removed
            removed = len(self._rows(READ_SEEDS_OF, *place.values()))
            return [("no seeds of", place)] if removed else []

        change(self._session, plan)
        return removed

    def _put(self, name: str, values: dict[str, str | None], expected_version: int | None) -> None:
        change(self._session, lambda _head, _version: [(name, values)], expected_version=expected_version)

    def _rows(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        return self._session.run(statement, parameters, CONFIGURING)

    def _without_tenant(self, tenant: str) -> list[Write]:
        if not self._rows(READ_TENANT, tenant):
            return []
        keys = [key_id for key_id, owner in self._rows(READ_KEYS_OF_ALL) if owner == tenant]
        slots = [str(slot) for (slot,) in self._rows(READ_SLOTS_OF, tenant)]
        return [
            ("no tenant", {"tenant": tenant}),
            ("retired", {"tenant": tenant, "slot": "", "banner": ""}),
            *(("no key", {"key_id": key_id}) for key_id in keys),
            *(write for slot in slots for write in self._without_slot(tenant, slot)),
        ]

    def _without_slot(self, tenant: str, slot: str) -> list[Write]:
        banners = [banner for (banner,) in self._rows(READ_BANNERS_OF, tenant, slot)]
        place = {"tenant": tenant, "slot": slot}
        return [
            *((name, place) for name in ("no slot", "no banners", "no seeds")),
            *(("retired", {**place, "banner": banner}) for banner in ("", *banners)),
        ]

    def _note_epoch(self, head: Head) -> Head:
        """Counts are read of the epoch that was active at the last look."""
        self._epoch: int | None = head.active_epoch
        return head

    def _read(self, head: Head) -> Configuration:
        """Everything, but for what has no owner."""
        self._note_epoch(head)
        tenants_rows, key_rows, slot_rows, banner_rows = self._session.run_many(
            [(statement, ()) for statement in (READ_TENANTS, READ_KEYS, READ_SLOTS, READ_BANNERS)], CONFIGURING
        )
        tenants = {tenant: load(Tenant, document) for tenant, document in sorted(tenants_rows)}
        keys = (load(ApiKey, document) for (document,) in key_rows)
        slots = {
            (tenant, slot): load(Slot, document) for tenant, slot, document in sorted(slot_rows) if tenant in tenants
        }
        banners: dict[tuple[str, str], dict[str, Banner]] = {key: {} for key in slots}
        for tenant, slot, document, _created in sorted(banner_rows, key=lambda row: int(row[3])):
            if (tenant, slot) in banners:
                banner = load(Banner, document)
                banners[(tenant, slot)][banner.id] = banner
        partitions = self._rows(READ_PARTITIONS, head.active_epoch)
        return Configuration(
            version=head.version,
            tenants=tenants,
            keys={key.id: key for key in keys if key.tenant is None or key.tenant in tenants},
            slots=slots,
            banners=banners,
            partitions=int(str(partitions[0][0])) if partitions else 1,
        )

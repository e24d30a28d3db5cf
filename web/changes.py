"""Every change of configuration that comes over HTTP goes through here, and is written into the audit log.

The line follows the change: should the store fail between the two, the change stays and the log of the process says it.
"""

import logging
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from bandit.model import ApiKey, Banner, ChangeRecord, Slot, Tenant
from storage.base import StoreUnavailable
from web.auth import caller
from web.context import context

log = logging.getLogger(__name__)

MAX_DETAIL = 1_000
_HIDDEN = frozenset({"id", "slot", "tenant", "secret_hash", "created_at"})
_EMPTY_MEANS_ALL = frozenset({"cities", "platforms", "segments"})
"""Of a banner."""
_Value = Tenant | ApiKey | Slot | Banner


def put_tenant(tenant: str, value: Tenant, *, expected_version: int) -> None:
    """As the store's; raises Conflict."""
    before = context().current().tenants.get(tenant)
    context().store.put_tenant(tenant, value, expected_version=expected_version)
    _record(tenant if before else None, f"tenant {tenant}", before, value)


def delete_tenant(tenant: str) -> bool:
    """As the store's."""
    return _deleted(context().store.delete_tenant(tenant), None, f"tenant {tenant}")


def put_key(key: ApiKey, *, expected_version: int) -> None:
    """As the store's; raises Conflict."""
    context().store.put_key(key, expected_version=expected_version)
    _record(key.tenant, f"key {key.id}", None, key)


def delete_key(key: ApiKey) -> bool:
    """As the store's."""
    return _deleted(context().store.delete_key(key.id), key.tenant, f"key {key.id}")


def put_slot(tenant: str, slot: Slot, *, expected_version: int) -> None:
    """As the store's; raises Conflict."""
    before = context().current().slots.get((tenant, slot.id))
    context().store.put_slot(tenant, slot, expected_version=expected_version)
    _record(tenant, f"slot {slot.id}", before, slot)


def delete_slot(tenant: str, slot: str) -> bool:
    """As the store's."""
    return _deleted(context().store.delete_slot(tenant, slot), tenant, f"slot {slot}")


def put_banner(tenant: str, banner: Banner, *, expected_version: int) -> None:
    """As the store's; raises Conflict."""
    before = context().current().banners.get((tenant, banner.slot), {}).get(banner.id)
    context().store.put_banner(tenant, banner, expected_version=expected_version)
    _record(tenant, f"banner {banner.slot}/{banner.id}", before, banner)


def delete_banner(tenant: str, slot: str, banner: str) -> bool:
    """As the store's."""
    return _deleted(context().store.delete_banner(tenant, slot, banner), tenant, f"banner {slot}/{banner}")


def delete_seeds(tenant: str, slot: str, seed_id: str) -> int:
    """As the store's."""
    removed = context().store.delete_seeds(tenant, slot, seed_id)
    if removed:
        note(tenant, "removed", f"seeds {slot}/{seed_id}", f"{removed} pairs")
    return removed


def note(tenant: str | None, action: str, subject: str, detail: str) -> None:
    """Write a line into the audit log of the tenant, or of the operators, in the name of the request's key."""
    key, now_us = caller(), int(context().now().timestamp() * 1e6)
    record = ChangeRecord(now_us, key.id, key.role, key.name, action, subject, detail[:MAX_DETAIL])
    try:
        context().store.record_change(tenant, record)
    except StoreUnavailable as error:
        log.error("not in the audit log, since the store is away (%s): %r", error, record)


def _record(tenant: str | None, subject: str, before: _Value | None, after: _Value) -> None:
    if before != after:
        note(tenant, "made" if before is None else "changed", subject, _difference(before, after))


def _deleted(removed: bool, tenant: str | None, subject: str) -> bool:
    if removed:
        note(tenant, "removed", subject, "")
    return removed


def _difference(before: _Value | None, after: _Value) -> str:
    """`field: old → new` of what differs; of something new what is not empty."""
    lines = []
    for field in fields(after):
        new: Any = getattr(after, field.name)
        old: Any = getattr(before, field.name, None)
        if field.name in _HIDDEN or new == old:
            continue
        if before is None:
            if new not in (None, "", (), {}):
                lines.append(f"{field.name}: {_text(new)}")
        elif isinstance(new, Mapping):
            lines.append(f"{field.name} that differ: {_text(_without(old, new))} → {_text(_without(new, old))}")
        else:
            empty = "all" if isinstance(after, Banner) and field.name in _EMPTY_MEANS_ALL else "none"
            lines.append(f"{field.name}: {_text(old, empty)} → {_text(new, empty)}")
    return "; ".join(lines)


def _without(cities: Mapping[str, Any], others: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those that are not the same in the others."""
    return {city: names for city, names in cities.items() if others.get(city) != names}


def _text(value: Any, empty: str = "none") -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _text(tuple(f"{city} ({', '.join(names)})" if names else city for city, names in value.items()))
    if isinstance(value, tuple):
        return ", ".join(value) or empty
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "") else str(value)

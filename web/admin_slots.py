"""Slots: the places where banners compete, and how they do."""

from collections.abc import Callable
from dataclasses import replace

from bandit.model import Role, Slot, Tenant
from web import changes
from web.admin import Json, banners_of, change, exists_already, find_slot, id_was_used, show, values
from web.admin_rules import check_slot_in_use
from web.auth import requires, tenant_of_call
from web.context import context
from web.openapi import CHANGE_REFUSED, blueprint
from web.schemas import OfTenant, SlotBody, SlotFull, SlotList, SlotPatch, SlotPath

slots = blueprint("slots", "/admin", "Places on a page where banners compete.")


@slots.get("/slots", responses={200: SlotList})
@requires(Role.ADMIN)
def list_slots(query: OfTenant) -> Json:
    """All slots of the tenant."""
    tenant = tenant_of_call(query.tenant)
    found = (slot for (owner, _), slot in context().current().slots.items() if owner == tenant.id)
    return {"slots": [show(slot, tenant.time_zone) for slot in found]}


@slots.post("/slots", responses={201: SlotFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def create_slot(query: OfTenant, body: SlotFull) -> tuple[Json, int, dict[str, str]]:
    """Make a slot. The id of a removed one stays taken, because its counts do."""

    def make(tenant: Tenant) -> Slot:
        _check_id_is_free(tenant.id, body.id)
        return Slot(id=body.id, **values(body))

    return save_slot(query.tenant, make), 201, {"Location": f"/admin/slots/{body.id}"}


@slots.get("/slots/<slot>", responses={200: SlotFull})
@requires(Role.ADMIN)
def show_slot(path: SlotPath, query: OfTenant) -> Json:
    """One slot."""
    tenant = tenant_of_call(query.tenant)
    return show(find_slot(tenant.id, path.slot), tenant.time_zone)


@slots.put("/slots/<slot>", responses={200: SlotFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def replace_slot(path: SlotPath, query: OfTenant, body: SlotBody) -> Json:
    """Replace all of a slot's settings; its banners stay."""
    changes = values(body, path.slot)
    return save_slot(query.tenant, lambda tenant: Slot(id=find_slot(tenant.id, path.slot).id, **changes))


@slots.patch("/slots/<slot>", responses={200: SlotFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def change_slot(path: SlotPath, query: OfTenant, body: SlotPatch) -> Json:
    """Change the settings given, keep the others."""
    changes = values(body, path.slot, given_only=True)
    return save_slot(query.tenant, lambda tenant: replace(find_slot(tenant.id, path.slot), **changes))


@slots.delete("/slots/<slot>", responses={204: None})
@requires(Role.ADMIN)
def remove_slot(path: SlotPath, query: OfTenant) -> tuple[str, int]:
    """Remove a slot with its banners and seeds; what was counted stays, so its id is not free again."""
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    changes.delete_slot(tenant.id, path.slot)
    return "", 204


def _check_id_is_free(tenant: str, slot: str) -> None:
    if (tenant, slot) in context().current().slots:
        raise exists_already("slot", slot)
    if context().store.slot_was_used(tenant, slot):
        raise id_was_used("slot", slot)


def save_slot(named_tenant: str | None, make: Callable[[Tenant], Slot]) -> Json:
    """Check and store what `make` makes; it is made again where others change the configuration meanwhile. Raises
    ApiError."""

    def attempt(version: int) -> Json:
        tenant = tenant_of_call(named_tenant)
        slot = make(tenant)
        check_slot_in_use(tenant, slot, banners_of(tenant.id, slot.id))
        changes.put_slot(tenant.id, slot, expected_version=version)
        return show(slot, tenant.time_zone)

    return change(attempt)

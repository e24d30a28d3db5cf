"""Slots: the places where banners compete, and how they do."""

from dataclasses import replace

from bandit.model import Role, Slot, Tenant
from web.admin import Json, banners_of, exists_already, find_slot, show, values
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
    """Make a slot."""
    tenant = tenant_of_call(query.tenant)
    if (tenant.id, body.id) in context().current().slots:
        raise exists_already("slot", body.id)
    return _saved(tenant, Slot(id=body.id, **values(body))), 201, {"Location": f"/admin/slots/{body.id}"}


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
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    return _saved(tenant, Slot(id=path.slot, **values(body, path.slot)))


@slots.patch("/slots/<slot>", responses={200: SlotFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def change_slot(path: SlotPath, query: OfTenant, body: SlotPatch) -> Json:
    """Change the settings given, keep the others."""
    tenant = tenant_of_call(query.tenant)
    slot = find_slot(tenant.id, path.slot)
    return _saved(tenant, replace(slot, **values(body, path.slot, given_only=True)))


@slots.delete("/slots/<slot>", responses={204: None})
@requires(Role.ADMIN)
def remove_slot(path: SlotPath, query: OfTenant) -> tuple[str, int]:
    """Remove a slot with its banners and seeds; what was counted stays."""
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    context().store.delete_slot(tenant.id, path.slot)
    return "", 204


def _saved(tenant: Tenant, slot: Slot) -> Json:
    check_slot_in_use(tenant, slot, banners_of(tenant.id, slot.id))
    context().store.put_slot(tenant.id, slot)
    return show(slot, tenant.time_zone)

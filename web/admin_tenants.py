"""Tenants: made and removed by operators, changed by their admins too."""

from dataclasses import replace

from bandit.model import Role, Tenant
from web.admin import Json, exists_already, show, values
from web.admin_rules import check_tenant
from web.auth import requires, tenant_of_call
from web.context import context
from web.openapi import CHANGE_REFUSED, blueprint
from web.schemas import TenantBody, TenantFull, TenantList, TenantPatch, TenantPath

tenants = blueprint("tenants", "/admin", "Who uses the service: zone, platforms, cities, segments, web origins.")


@tenants.get("/tenants", responses={200: TenantList})
@requires(Role.OPERATOR)
def list_tenants() -> Json:
    """All tenants."""
    return {"tenants": [_shown(each) for each in context().current().tenants.values()]}


@tenants.post("/tenants", responses={201: TenantFull, **CHANGE_REFUSED})
@requires(Role.OPERATOR)
def create_tenant(body: TenantFull) -> tuple[Json, int, dict[str, str]]:
    """Make a tenant."""
    if body.id in context().current().tenants:
        raise exists_already("tenant", body.id)
    return _saved(Tenant(id=body.id, **values(body))), 201, {"Location": f"/admin/tenants/{body.id}"}


@tenants.get("/tenants/<tenant>", responses={200: TenantFull})
@requires(Role.ADMIN)
def show_tenant(path: TenantPath) -> Json:
    """One tenant."""
    return _shown(_named(path.tenant))


@tenants.put("/tenants/<tenant>", responses={200: TenantFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def replace_tenant(path: TenantPath, body: TenantBody) -> Json:
    """Replace all of a tenant's settings."""
    _named(path.tenant)
    return _saved(Tenant(id=path.tenant, **values(body, path.tenant)))


@tenants.patch("/tenants/<tenant>", responses={200: TenantFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def change_tenant(path: TenantPath, body: TenantPatch) -> Json:
    """Change the settings given, keep the others."""
    return _saved(replace(_named(path.tenant), **values(body, path.tenant, given_only=True)))


@tenants.delete("/tenants/<tenant>", responses={204: None})
@requires(Role.OPERATOR)
def remove_tenant(path: TenantPath) -> tuple[str, int]:
    """Remove a tenant with its keys, slots, banners and seeds; what was counted stays."""
    context().store.delete_tenant(_named(path.tenant).id)
    return "", 204


def _named(tenant: str) -> Tenant:
    """The tenant in the path, which an admin may only name if it is its own."""
    return tenant_of_call(tenant)


def _saved(tenant: Tenant) -> Json:
    check_tenant(tenant, context().current())
    context().store.put_tenant(tenant.id, tenant)
    return _shown(tenant)


def _shown(tenant: Tenant) -> Json:
    return show(tenant, tenant.time_zone)

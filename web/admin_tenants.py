"""Tenants: made and removed by operators, changed by their admins too."""

from collections.abc import Callable
from dataclasses import replace

from bandit.model import Role, Tenant
from web import changes
from web.admin import Json, change, exists_already, id_was_used, show, values
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
    """Make a tenant. The id of a removed one stays taken, because its counts do."""

    def make() -> Tenant:
        _check_id_is_free(body.id)
        return Tenant(id=body.id, **values(body))

    return _saved(make), 201, {"Location": f"/admin/tenants/{body.id}"}


@tenants.get("/tenants/<tenant>", responses={200: TenantFull})
@requires(Role.ADMIN)
def show_tenant(path: TenantPath) -> Json:
    """One tenant."""
    return _shown(_named(path.tenant))


@tenants.put("/tenants/<tenant>", responses={200: TenantFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def replace_tenant(path: TenantPath, body: TenantBody) -> Json:
    """Replace all of a tenant's settings."""
    return _saved(lambda: Tenant(id=_named(path.tenant).id, **values(body, path.tenant)))


@tenants.patch("/tenants/<tenant>", responses={200: TenantFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def change_tenant(path: TenantPath, body: TenantPatch) -> Json:
    """Change the settings given, keep the others."""
    return _saved(lambda: replace(_named(path.tenant), **values(body, path.tenant, given_only=True)))


@tenants.delete("/tenants/<tenant>", responses={204: None})
@requires(Role.OPERATOR)
def remove_tenant(path: TenantPath) -> tuple[str, int]:
    """Remove a tenant with its keys, slots, banners and seeds; what was counted stays, so its id is not free again."""
    changes.delete_tenant(_named(path.tenant).id)
    return "", 204


def _named(tenant: str) -> Tenant:
    """The tenant in the path, which an admin may only name if it is its own."""
    return tenant_of_call(tenant)


def _check_id_is_free(tenant: str) -> None:
    if tenant in context().current().tenants:
        raise exists_already("tenant", tenant)
    if context().store.tenant_was_used(tenant):
        raise id_was_used("tenant", tenant)


def _saved(make: Callable[[], Tenant]) -> Json:
    def attempt(version: int) -> Json:
        tenant = make()
        check_tenant(tenant, context().current())
        changes.put_tenant(tenant.id, tenant, expected_version=version)
        return _shown(tenant)

    return change(attempt)


def _shown(tenant: Tenant) -> Json:
    return show(tenant, tenant.time_zone)

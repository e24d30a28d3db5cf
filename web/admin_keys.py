"""API keys. The text of a key is in the answer that makes it, and nowhere else."""

from bandit.model import ApiKey, Role
from serving.keys import new_key
from web import changes
from web.admin import Json, change, show
from web.auth import caller, requires, tenant_of_call
from web.context import context
from web.errors import ApiError
from web.openapi import CHANGE_REFUSED, blueprint, errors
from web.schemas import KeyFull, KeyList, KeyMade, KeyPath, NewKey, OfTenant

keys = blueprint("keys", "/admin", "API keys: what each may do, and for which tenant.")
HIDDEN = frozenset({"secret_hash"})


@keys.get("/keys", responses={200: KeyList})
@requires(Role.ADMIN)
def list_keys(query: OfTenant) -> Json:
    """Keys of the tenant; for an operator who names none, the keys of operators."""
    tenant = _owner(query.tenant)
    found = (key for key in context().current().keys.values() if key.tenant == tenant)
    return {"keys": [_shown(key) for key in found]}


@keys.post("/keys", responses={201: KeyMade, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def create_key(query: OfTenant, body: NewKey) -> tuple[Json, int, dict[str, str]]:
    """Make a key. Its text is shown this once."""

    def attempt(version: int) -> tuple[ApiKey, str]:
        tenant = _owner(query.tenant)
        if (tenant is None) != (body.role == Role.OPERATOR):
            message = "an operator key belongs to no tenant, every other key to the one in ?tenant="
            raise ApiError(400, "bad_value", message, "role")
        key, text = new_key(tenant, body.role, context().now(), body.name)
        changes.put_key(key, expected_version=version)
        return key, text

    key, text = change(attempt)
    return {**_shown(key), "key": text}, 201, {"Location": f"/admin/keys/{key.id}"}


@keys.get("/keys/<key>", responses={200: KeyFull})
@requires(Role.ADMIN)
def show_key(path: KeyPath, query: OfTenant) -> Json:
    """One key."""
    return _shown(_find(path.key, query.tenant))


@keys.delete("/keys/<key>", responses={204: None, **errors(409)})
@requires(Role.ADMIN)
def remove_key(path: KeyPath, query: OfTenant) -> tuple[str, int]:
    """Revoke a key; within a few seconds no process takes it any more."""
    key = _find(path.key, query.tenant)
    if key.role == Role.OPERATOR and _operators() == 1:
        raise ApiError(409, "last_operator", "this is the last operator key; make another one first", "key")
    changes.delete_key(key)
    return "", 204


def _owner(named: str | None) -> str | None:
    """Whose keys the call is about; None for those of operators."""
    if named is None and caller().role == Role.OPERATOR:
        return None
    return tenant_of_call(named).id


def _find(key_id: str, named_tenant: str | None) -> ApiKey:
    """A key the caller may see: an operator sees all, everybody else those of the own tenant."""
    tenant = _owner(named_tenant)
    key = context().current().keys.get(key_id)
    if key is None or (tenant is not None and key.tenant != tenant):
        raise ApiError(404, "unknown", f"there is no key {key_id}", "key")
    return key


def _operators() -> int:
    return sum(key.role == Role.OPERATOR for key in context().current().keys.values())


def _shown(key: ApiKey) -> Json:
    tenant = context().current().tenants.get(key.tenant or "")
    return show(key, tenant.time_zone if tenant else "UTC", without=HIDDEN)

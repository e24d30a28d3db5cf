"""Who calls, and for which tenant. Every route declares the role it needs; one check before each request asks it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flask import Flask, current_app, g, request

from bandit.model import ApiKey, Role, Tenant
from serving.keys import find_key
from web import sessions
from web.context import context
from web.errors import ApiError
from web.guarded_request import BODY_BYTES

Access = Role | Literal["public"]
_ALLOWED = {
    Role.READ: {Role.READ, Role.ADMIN, Role.OPERATOR},
    Role.ADMIN: {Role.ADMIN, Role.OPERATOR},
    Role.OPERATOR: {Role.OPERATOR},
}
_View = TypeVar("_View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a route asks of a request."""

    access: Access
    body_bytes: int
    by_session: bool
    """A page of the dashboard: its key is the one somebody signed in with, not one in a header."""


def requires(access: Access, *, body_bytes: int = BODY_BYTES, by_session: bool = False) -> Callable[[_View], _View]:
    """Declare the least role that may call the view, the largest body it takes, and where its key comes from."""

    def declare(view: _View) -> _View:
        view.requirement = Requirement(access, body_bytes, by_session)  # type: ignore[attr-defined]
        return view

    return declare


def requirement_of(app: Flask, endpoint: str) -> Requirement | None:
    """What the route asks; None where nobody declared it."""
    return getattr(app.view_functions[endpoint], "requirement", None)


def check_declarations(app: Flask) -> None:
    """Refuse to start with a route nobody has thought about."""
    open_routes = [rule.rule for rule in app.url_map.iter_rules() if requirement_of(app, rule.endpoint) is None]
    if open_routes:
        raise AssertionError(f"no role is declared for {', '.join(open_routes)}")


def admit() -> None:
    """Before each request: the body limit of the route, the key it needs, and no parameter twice."""
    if request.endpoint is None:
        return
    requirement = requirement_of(current_app, request.endpoint)
    assert requirement is not None, "check_declarations ran at start"
    request.body_bytes = requirement.body_bytes  # type: ignore[attr-defined]
    if requirement.by_session:
        request.max_content_length = requirement.body_bytes
    if requirement.access != "public":
        g.key = _key_for(requirement.access, by_session=requirement.by_session)
    if requirement.by_session:
        sessions.check_form()
    if requirement.access == "public":
        return
    for name, values in request.args.lists():
        if len(values) > 1:
            raise ApiError(400, "repeated", "a parameter may be given once", name[:100])


def caller() -> ApiKey:
    """The key of this request."""
    key = g.key
    assert isinstance(key, ApiKey)
    return key


def tenant_of_call(named: str | None) -> Tenant:
    """The tenant this call is about: the key's own, or the one an operator names.

    Raises ApiError: 400 when an operator names none, 403 when another key names a tenant that is not its own, 404
    for an unknown one.
    """
    own = caller().tenant
    if own is not None and named not in (None, own):
        raise ApiError(403, "tenant", "this key belongs to another tenant", "tenant")
    tenant = named if own is None else own
    if tenant is None:
        raise ApiError(400, "missing", "an operator must say which tenant, as ?tenant=", "tenant")
    found = context().current().tenants.get(tenant)
    if found is None:
        raise ApiError(404, "unknown", f"there is no tenant {tenant}", "tenant")
    return found


def _key_for(access: Role, *, by_session: bool) -> ApiKey:
    keys = context().configuration().keys
    key = sessions.signed_in(keys) if by_session else _sent(keys)
    if key.role not in _ALLOWED[access]:
        raise ApiError(403, "role", f"this takes a key of role {access}, not {key.role}", "key")
    return key


def _sent(keys: Mapping[str, ApiKey]) -> ApiKey:
    key = find_key(_bearer(request.headers.get("Authorization", "")), keys)
    if key is None:
        raise _unauthorised("the key is not known; send one as `Authorization: Bearer bk_...`")
    return key


def _bearer(header: str) -> str:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _unauthorised("send a key as `Authorization: Bearer bk_...`")
    return text.strip()


def _unauthorised(message: str) -> ApiError:
    return ApiError(401, "key", message, "key", (("WWW-Authenticate", "Bearer"),))

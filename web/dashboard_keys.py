"""The keys of a tenant: made, shown once, revoked."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, redirect, request, url_for
from markupsafe import Markup, escape
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from bandit.model import ApiKey, Role, Tenant
from web import dashboard_formats as show
from web import sessions
from web.admin_keys import make_key, revoke_key
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, in_words, page, tenant_of_page
from web.dashboard_tables import Column, Row, Table
from web.errors import ApiError
from web.refusals import refuse_invalid
from web.schemas import NewKey

LABELS = {"role": "Role", "name": "Name"}
"""Every field of the form, and what the page calls it."""
ROLES = {
    Role.SERVE: "serve: for web pages, may stand in their source",
    Role.SERVER: "server: for a storefront's back end",
    Role.READ: "read: reports and this dashboard",
    Role.ADMIN: "admin: everything of this tenant",
}


@dashboard.get("/keys")
@requires(Role.ADMIN, by_session=True)
def show_keys() -> str | Response:
    """All keys of the tenant."""
    return _page()


@dashboard.post("/keys")
@requires(Role.ADMIN, by_session=True)
def add_key() -> str | Response | tuple[str | Response, int]:
    """Make a key, and show its text this once; a page that is loaded again makes no second one."""
    try:
        wanted = _wanted()
        if request.form.get("edition") != _edition(_keys(tenant_of_page())):
            message = "no key was made: the keys changed since this form was opened; look at them and send it again"
            raise ApiError(409, "conflict", message)
        _, text = make_key(tenant_of_page().id, wanted.role, wanted.name)
    except ApiError as error:
        problem = in_words(error.field, error.message, LABELS)
        return _page(form=request.form, wrong=error.field, problem=problem), error.status
    return _page(made=text)


@dashboard.post("/keys/<key>/revoke")
@requires(Role.ADMIN, by_session=True)
def remove_key(key: str) -> AnyResponse:
    """Revoke a key; the session it signed in with ends, too."""
    revoke_key(key, tenant_of_page().id)
    return redirect(url_for("dashboard.show_keys"), 303)


def remove_button(address: str, label: str) -> Markup:
    """A button that asks once more."""
    proof = f'<input type="hidden" name="{sessions.FORM_FIELD}" value="{escape(sessions.form_proof())}">'
    button = f'<button type="submit" class="quiet">Yes, {escape(label)}</button>'
    form = f'<form method="post" action="{escape(address)}">{proof}{button}</form>'
    return Markup(f"<details><summary>{escape(label.capitalize())}</summary>{form}</details>")


def _wanted() -> NewKey:
    """The key that the form asks for. Raises ApiError."""
    fields = {name: request.form.get(name, "") for name in LABELS}
    try:
        return NewKey.model_validate(fields)
    except ValidationError as error:
        refuse_invalid(error)


def _keys(tenant: Tenant) -> list[ApiKey]:
    """By age."""
    found = [key for key in context().current().keys.values() if key.tenant == tenant.id]
    return sorted(found, key=lambda key: (key.created_at is None, key.created_at, key.id))


def _edition(keys: Sequence[ApiKey]) -> str:
    """Changes whenever a key is made or revoked."""
    return hashlib.sha256(repr([key.id for key in keys]).encode()).hexdigest()[:16]


def _page(*, form: Mapping[str, str] | None = None, **more: Any) -> str | Response:
    tenant = tenant_of_page()
    found = _keys(tenant)
    rows = [{"key": each.id, "role": each.role, "name": each.name, "created_at": each.created_at} for each in found]
    return page(
        "keys.html",
        tables=[_table(rows, tenant.time_zone)],
        tenant=tenant,
        roles=ROLES,
        labels=LABELS,
        form=form or {},
        edition=_edition(found),
        **more,
    )


def _table(rows: list[dict[str, Any]], zone: str) -> Table:
    def button(row: Row) -> str:
        return remove_button(url_for("dashboard.remove_key", key=row["key"]), "revoke")

    return Table(
        "keys",
        "Keys",
        (
            Column("key", "Key", lambda key: f"bk_{key}_…"),
            Column("role", "Role"),
            Column("name", "Name"),
            Column("created_at", "Made", lambda value: show.moment(value, zone)),
            Column("", "Revoke", cell=button, is_on_page_only=True),
        ),
        rows,
        "This tenant has no key yet. Make one below.",
    )

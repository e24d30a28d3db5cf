"""The keys of a tenant: made, shown once, revoked."""

from typing import Any

from flask import Response, redirect, request, url_for
from markupsafe import Markup, escape
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from bandit.model import Role
from web import dashboard_formats as show
from web import sessions
from web.admin_keys import make_key, revoke_key
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_tables import Column, Row, Table
from web.refusals import refuse_invalid
from web.schemas import NewKey

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
def add_key() -> str | Response:
    """Make a key, and show its text this once."""
    fields = {name: request.form.get(name, "") for name in ("role", "name")}
    try:
        wanted = NewKey.model_validate(fields)
    except ValidationError as error:
        refuse_invalid(error)
    _, text = make_key(tenant_of_page().id, wanted.role, wanted.name)
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


def _page(**more: Any) -> str | Response:
    tenant = tenant_of_page()
    found = [key for key in context().current().keys.values() if key.tenant == tenant.id]
    found.sort(key=lambda key: (key.created_at is None, key.created_at, key.id))
    rows = [{"key": each.id, "role": each.role, "name": each.name, "created_at": each.created_at} for each in found]
    return page("keys.html", tables=[_table(rows, tenant.time_zone)], tenant=tenant, roles=ROLES, **more)


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

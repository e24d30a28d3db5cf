"""The dashboard: pages for people, under /dashboard. This file has what all pages share, and signing in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, g, redirect, render_template, request, send_from_directory, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from bandit.model import ApiKey, Role, Tenant
from serving.keys import find_key
from storage.base import StoreUnavailable
from web import dashboard_formats, sessions
from web.auth import requires, tenant_of_call
from web.context import context
from web.dashboard_tables import Table
from web.errors import ApiError

PREFIX = "/dashboard"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, and nothing of anybody else."""
_FILES = Path(__file__).parent / "static" / "dashboard"
_ROLES = (Role.READ, Role.ADMIN, Role.OPERATOR)
"""Of the keys that may sign in."""

SECTIONS = (("overview", "Overview"), ("why", "Why"), ("show_changes", "Audit log"), ("show_system", "System"))
ADMIN_SECTIONS = (("show_keys", "Keys"),)
OPERATOR_SECTIONS = (("show_tenants", "Tenants"),)

dashboard = Blueprint("dashboard", __name__, url_prefix=PREFIX)


def page(template: str, *, tables: Sequence[Table] = (), **values: Any) -> str | Response:
    """The page, or with `?csv=` one of its tables as a download."""
    wanted = request.args.get("csv")
    if wanted is None:
        return render_template(f"dashboard/{template}", tables={each.name: each for each in tables}, **values)
    found = next((each for each in tables if each.name == wanted), None)
    if found is None:
        raise ApiError(404, "unknown", f"this page has no table {wanted[:50]}", "csv")
    return found.csv()


def in_words(field: str | None, message: str, labels: Mapping[str, str]) -> str:
    """What is wrong with a form; the field is named by its label."""
    label = labels.get(field or "")
    return message if label is None else f"{label}: {message.removeprefix(f'{field} ')}"


def tenant_of_page() -> Tenant:
    """Whose page it is: the key's own tenant, or the one an operator names as `?tenant=`."""
    return tenant_of_call(request.args.get("tenant"))


@dashboard.get("/static/<name>")
@requires("public")
def static_file(name: str) -> Response:
    """Style and script."""
    return send_from_directory(_FILES, name)


@dashboard.get("/sign-in")
@requires("public", by_session=True)
def ask_for_key() -> str:
    """The page one signs in on."""
    return _sign_in_page()


@dashboard.post("/sign-in")
@requires("public", by_session=True)
def sign_in() -> AnyResponse | tuple[str, int]:
    """Begin a session with the key that was typed in."""
    key = find_key(request.form.get("key", "").strip(), context().configuration().keys)
    if key is None:
        return _sign_in_page("This key is not known. Keys look like bk_<id>_<secret>; paste the whole of it."), 401
    if key.role not in _ROLES:
        return _sign_in_page(f"This is a key of role {key.role}; the dashboard takes read, admin and operator."), 403
    sessions.sign_in(key)
    return redirect(_own_page(request.form.get("next", "")), 303)


@dashboard.post("/sign-out")
@requires(Role.READ, by_session=True)
def sign_out() -> AnyResponse:
    """End the session."""
    sessions.sign_out()
    return redirect(url_for("dashboard.ask_for_key"), 303)


def _sign_in_page(problem: str = "") -> str:
    following = request.values.get("next", "")
    return render_template("dashboard/sign_in.html", problem=problem, following=following)


def _own_page(path: str) -> str:
    """The page asked for before signing in, unless somebody smuggled in another site's."""
    is_ours = path.startswith(f"{PREFIX}/") and "\\" not in path and path.isprintable()
    return path if is_ours else url_for("dashboard.overview")


@dashboard.url_defaults
def _keep_tenant(_endpoint: str, values: dict[str, Any]) -> None:
    """An operator stays with the tenant that was chosen."""
    key = g.get("key")
    if isinstance(key, ApiKey) and key.tenant is None and request.args.get("tenant"):
        values.setdefault("tenant", request.args["tenant"])


@dashboard.context_processor
def _for_templates() -> dict[str, Any]:
    key = g.get("key")
    may_change = key is not None and key.role in (Role.ADMIN, Role.OPERATOR)
    return {
        "key": key,
        "may_change": may_change,
        "sections": SECTIONS
        + (ADMIN_SECTIONS if may_change else ())
        + (OPERATOR_SECTIONS if key is not None and key.role == Role.OPERATOR else ()),
        "tenant_id": None if key is None else key.tenant or request.args.get("tenant"),
        "form_proof": sessions.form_proof,
        "with_query": _with_query,
        "show": dashboard_formats,
    }


def _with_query(**changes: str | None) -> str:
    """This page's address with these parameters; None takes one away."""
    query = {name: value for name, value in {**request.args.to_dict(), **changes}.items() if value is not None}
    return f"?{urlencode(query)}"


@dashboard.after_request
def _protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Frame-Options"] = "DENY"
    return response


@dashboard.errorhandler(ApiError)
def _refused(error: ApiError) -> AnyResponse | tuple[str, int]:
    if error.code == "session":
        wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
        return redirect(url_for("dashboard.ask_for_key", next=wanted or None), 303)
    if error.code == "missing" and error.field == "tenant":
        return redirect(url_for("dashboard.show_tenants"), 303)
    return _problem(error.status, error.message)


@dashboard.errorhandler(StoreUnavailable)
def _store_is_away(_: StoreUnavailable) -> tuple[str, int]:
    return _problem(503, "The store cannot be reached now. Banners are served from memory; load this page again soon.")


@dashboard.errorhandler(HTTPException)
def _wrong_request(error: HTTPException) -> tuple[str, int]:
    return _problem(error.code or 500, error.description or "This cannot be done.")


def _problem(status: int, message: str) -> tuple[str, int]:
    return render_template("dashboard/problem.html", message=message, status=status), status

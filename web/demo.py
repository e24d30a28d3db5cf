"""/demo: a small shop that uses the service as any storefront would, where there is the demo tenant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

from bandit.city import index, recognise
from bandit.model import Role, Tenant
from serving.decide import Ask
from web.auth import requires
from web.context import context
from web.dashboard import POLICY
from web.errors import ApiError
from web.simulated_visitors import SimulatedVisitors

EXTENSION = "demo_shop"
TENANT = "demo"
SLOTS = ("home_top", "category_side")
CUSTOMERS = ("asha", "ravi", "meera", "farhan")
_FILES = Path(__file__).parent / "static" / "demo"

demo_pages = Blueprint("demo", __name__, url_prefix="/demo")


@dataclass(frozen=True, slots=True)
class DemoShop:
    """What the shop needs besides the service."""

    keys_path: Path
    """Where `commands.demo` keeps the keys."""
    visitors: SimulatedVisitors


@demo_pages.get("")
@requires("public")
def show_shop() -> str:
    """The shop, for a visitor from the city and with the customer of the query."""
    tenant, key = _tenant(), _serve_key()
    city = recognise(request.args.get("city") or next(iter(tenant.cities), None), index(tenant.cities))
    customer = request.args.get("customer", "")
    return render_template(
        "demo/shop.html",
        key=key,
        cities=tenant.cities,
        city=city,
        customers=CUSTOMERS,
        customer=customer if customer in CUSTOMERS else "",
        slots=SLOTS,
    )


@demo_pages.get("/offers/<offer>")
@requires("public")
def show_offer(offer: str) -> str:
    """Where a banner of the demo leads."""
    banners = context().configuration().banners
    found = next((found for slot in SLOTS if (found := banners.get((_tenant().id, slot), {}).get(offer))), None)
    if found is None:
        raise ApiError(404, "unknown", "the demo shop has no such offer", "offer")
    return render_template("demo/offer.html", banner=found)


@demo_pages.get("/static/<name>")
@requires("public")
def static_file(name: str) -> Response:
    """Style and script."""
    return send_from_directory(_FILES, name)


@demo_pages.get("/state")
@requires("public")
def show_state() -> dict[str, Any]:
    """Each banner's evidence and chance in the city of the query, and whether visitors are simulated."""
    tenant = _tenant()
    city = request.args.get("city", "")[:64]
    slots = context().configuration().slots
    return {
        **_visitors(),
        "slots": {slot: _banners(tenant, slot, city) for slot in SLOTS if (tenant.id, slot) in slots},
    }


@demo_pages.put("/visitors")
@requires("public")
def simulate_visitors() -> Mapping[str, Any]:
    """Start or stop them, by `{"running": true}`.

    The page of a stranger cannot: a browser asks beforehand whether it may send a PUT, and nobody answers.
    """
    _tenant()
    running = request.get_json().get("running")
    if not isinstance(running, bool):
        raise ApiError(400, "bad_value", "running must be true or false", "running")
    visitors = _shop().visitors
    (visitors.start if running else visitors.stop)()
    return _visitors()


@demo_pages.after_request
def _guard(response: AnyResponse) -> AnyResponse:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def _visitors() -> dict[str, Any]:
    visitors = _shop().visitors
    return {"running": visitors.are_running(), "told": visitors.told()}


def _banners(tenant: Tenant, slot: str, city: str) -> list[dict[str, Any]]:
    rows = context().insight.explainer.explain(Ask(tenant.id, slot, city))["banners"]
    alts = {name: banner.alt for name, banner in context().configuration().banners[(tenant.id, slot)].items()}
    shown = ("banner", "trials", "clicks", "mean", "probability")
    return [{**{name: row[name] for name in shown}, "alt": alts.get(row["banner"], "")} for row in rows]


def _tenant() -> Tenant:
    """Raises ApiError (404) where there is no demo."""
    tenant = context().configuration().tenants.get(TENANT)
    if tenant is None:
        raise _no_demo()
    return tenant


def _serve_key() -> str:
    try:
        content = json.loads(_shop().keys_path.read_text("utf-8"))
        return str(content["keys"][Role.SERVE])
    except (OSError, ValueError, KeyError, TypeError):
        raise _no_demo() from None


def _shop() -> DemoShop:
    shop = current_app.extensions[EXTENSION]
    if shop is None:
        raise _no_demo()
    assert isinstance(shop, DemoShop)
    return shop


def _no_demo() -> ApiError:
    return ApiError(404, "unknown", "there is no demo tenant here; `make run` makes one")

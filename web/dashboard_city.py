"""The page of one city in one slot: its own evidence, what it borrows, and how a visitor there is shown a banner."""

from collections.abc import Mapping
from typing import Any

from flask import Response

from bandit.model import Role, Slot, Tenant
from web import dashboard_formats as show
from web.admin import banners_of, find_slot
from web.auth import requires
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_charts import captioned, interval_bar, share_bar
from web.dashboard_charts import key as key_of
from web.dashboard_evidence import city_name, densities_of, explained, picture, view_of
from web.dashboard_tables import Column, Row, Table, numeric
from web.errors import ApiError


@dashboard.get("/slots/<slot>/cities/<city>")
@requires(Role.READ, by_session=True)
def show_city(slot: str, city: str) -> str | Response:
    """One city."""
    tenant = tenant_of_page()
    found = find_slot(tenant.id, slot)
    view = view_of(tenant, found)
    if city not in view.evidence.cities:
        raise ApiError(404, "unknown", f"there is no city {city[:50]}", "city")
    explanation = explained(tenant, found, city)
    drawn, densities = densities_of(view, city) if view.banners else ([], "")
    return page(
        "city.html",
        tables=[competitors(tenant, found, explanation)],
        tenant=tenant,
        slot=found,
        city=city,
        city_name=city_name(city),
        explanation=explanation,
        densities=densities,
        densities_key=key_of(drawn),
    )


def competitors(tenant: Tenant, slot: Slot, explanation: Mapping[str, Any]) -> Table:
    """Every banner of the slot with its evidence in the city and its chance now, the likeliest first."""
    by_id = banners_of(tenant.id, slot.id)
    rows = sorted(explanation["banners"], key=lambda row: (-row["probability"], -row["mean"]))
    widest = max((row["high"] for row in rows), default=1.0)

    def interval(row: Row) -> str:
        figures = show.interval(row["low"], row["high"])
        title = f"{show.percent(row['mean'])}, 90 % interval {figures}"
        return captioned(figures, interval_bar(row["low"], row["mean"], row["high"], 0.0, widest, title))

    def shared(row: Row) -> str:
        bar = share_bar(row["probability"], f"chance {show.chance(row['probability'])}")
        return str(row["why_not"]) if row["why_not"] else bar

    return Table(
        "competitors",
        "Banners",
        (
            Column("banner", "Banner"),
            Column("picture", "Picture", cell=lambda row: picture(by_id.get(row["banner"]))),
            numeric("trials", "Own trials", show.number),
            numeric("clicks", "Own clicks", show.number),
            numeric("borrowed_trials", "Borrowed", show.number),
            numeric("mean", "Expected CTR", show.percent),
            Column("low", "90 % interval", cell=interval),
            numeric("weight", "Weight", show.number),
            numeric("probability", "Chance now", show.chance),
            Column("why_not", "", cell=shared),
        ),
        [{**row, "picture": by_id[row["banner"]].image_url if row["banner"] in by_id else None} for row in rows],
        "This slot has no banner yet. Make one with POST /admin/slots/<slot>/banners (see /docs).",
        more=("high", "slot_mean", "is_new"),
    )

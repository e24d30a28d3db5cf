"""The tenants an operator can look at."""

from collections.abc import Sequence

from flask import Response, url_for

from bandit.model import Role
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, page
from web.dashboard_audit import MAX_CHANGES, change_table
from web.dashboard_formats import count
from web.dashboard_tables import Column, Row, Table, numeric


@dashboard.get("/tenants")
@requires(Role.OPERATOR, by_session=True)
def show_tenants() -> str | Response:
    """All tenants, each leading to its overview."""
    configuration = context().current()
    rows = [
        {
            "tenant": tenant.id,
            "name": tenant.name,
            "time_zone": tenant.time_zone,
            "cities": len(tenant.cities),
            "slots": sum(owner == tenant.id for owner, _ in configuration.slots),
        }
        for tenant in configuration.tenants.values()
    ]
    records = context().store.recorded_changes(None, limit=MAX_CHANGES)
    return page("tenants.html", tables=[_table(rows), change_table(records, "UTC")])


def _table(rows: Sequence[Row]) -> Table:
    return Table(
        "tenants",
        "Tenants",
        (
            Column("tenant", "Tenant", link=lambda row: url_for("dashboard.overview", tenant=row["tenant"])),
            Column("name", "Name"),
            Column("time_zone", "Time zone"),
            numeric("cities", "Cities", count),
            numeric("slots", "Slots", count),
        ),
        rows,
        "There is no tenant yet. Make one with POST /admin/tenants (see /docs), or run `make run` for the demo.",
    )

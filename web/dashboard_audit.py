"""The audit log: who changed what, and when."""

from collections.abc import Sequence

from flask import Response

from bandit.model import ChangeRecord, Role
from bandit.zone import iso, moment
from web import dashboard_formats as show
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_tables import Column, Row, Table

MAX_CHANGES = 500


@dashboard.get("/changes")
@requires(Role.READ, by_session=True)
def show_changes() -> str | Response:
    """The latest changes of the tenant."""
    tenant = tenant_of_page()
    records = context().store.recorded_changes(tenant.id, limit=MAX_CHANGES)
    return page("changes.html", tables=[change_table(records, tenant.time_zone)], tenant=tenant, most=MAX_CHANGES)


def change_table(records: Sequence[ChangeRecord], zone: str) -> Table:
    """Latest first, in the zone."""

    def when(row: Row) -> str:
        return show.moment(moment(row["at_us"], zone), zone)

    return Table(
        "changes",
        "Changes",
        (
            Column("at", "When", cell=when),
            Column("subject", "What"),
            Column("action", "Was"),
            Column("detail", "From what to what", cell=lambda row: show.long(row["detail"])),
            Column("role", "By", cell=lambda row: f"{row['role']} {row['key_name'] or row['key']}"),
        ),
        [{**one._asdict(), "at_us": one.changed_at, "at": iso(one.changed_at, zone)} for one in records],
        "Nothing was changed yet. Every change made here or through /admin will be listed.",
        more=("key", "key_name"),
    )

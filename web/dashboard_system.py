"""How the service itself is: the process that answers, the journal and the drain."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Response

from bandit.model import Role, Tenant
from bandit.zone import moment
from storage.base import LogProgress
from storage.drain_status import backlog_bytes, is_alive, status
from web import dashboard_formats as show
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_overview import alarms_of_service
from web.dashboard_tables import Column, Row, Table


@dashboard.get("/system")
@requires(Role.READ, by_session=True)
def show_system() -> str | Response:
    """What can be known here; the rest is in /metrics."""
    tenant = tenant_of_page()
    table = Table(
        "system",
        "State",
        (Column("name", "What"), Column("value", "Value"), Column("meaning", "Meaning", cell=_meaning)),
        [*_of_the_process(), *_of_the_journal(tenant), *_of_the_consumers(tenant)],
        "",
    )
    return page("system.html", tables=[table], alarms=list(alarms_of_service()))


def _meaning(row: Row) -> str:
    return show.long(row["meaning"])


def _fact(name: str, value: str, meaning: str) -> Row:
    return {"name": name, "value": value, "meaning": meaning}


def _of_the_process() -> list[Row]:
    _, state, _ = context().ready()
    snapshot = context().insight.snapshot
    return [
        _fact("state", state, "of the process that made this page, as /readyz says it"),
        _fact("snapshot age", show.seconds(snapshot.age_seconds()), "since it last read the store"),
        _fact(
            "evidence lag",
            show.seconds(snapshot.evidence_lag_seconds()),
            "how long the slot that waits longest has waited",
        ),
        _fact("store", "away" if snapshot.store_is_away else "there", "whether it could be read the last time"),
    ]


def _of_the_journal(tenant: Tenant) -> list[Row]:
    directory = context().insight.journal_directory
    drain = status(directory)
    at = None if drain.last_delivery_at is None else datetime.fromtimestamp(drain.last_delivery_at, UTC)
    return [
        _fact("journal backlog", show.size(backlog_bytes(directory)), "what happened and is not delivered yet"),
        _fact("drain", "running" if is_alive(directory) else "not running", "delivers the journal"),
        _fact("drain's trouble", drain.trouble or "none", "what keeps it from delivering"),
        _fact("delivered", show.count(drain.delivered), "records, ever"),
        _fact("last delivery", show.moment(at, tenant.time_zone), tenant.time_zone),
        _fact(
            "dead letters",
            show.count(drain.dead_letters),
            "records refused for good, ever; python -m storage.dead_letters",
        ),
        _fact("dead letters waiting", show.size(drain.dead_letter_bytes), "to be replayed or removed"),
        _fact("lost", show.size(drain.lost_bytes), "damaged journal bytes that were skipped, ever"),
    ]


def _of_the_consumers(tenant: Tenant) -> Iterator[Row]:
    """In the embedded mode the drain counts, and there are none."""
    store = context().store
    if not isinstance(store, LogProgress):
        return
    meaning = f"the latest impression that is counted from this part of the log was served then, in {tenant.time_zone}"
    for shard, until_us in enumerate(store.counted_until(context().configuration().partitions)):
        at = moment(until_us, "UTC") if until_us else None
        yield _fact(f"counted from shard {shard}", show.moment(at, tenant.time_zone), meaning)

"""The overview: how each slot of a tenant does, and what needs attention."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from flask import Response, request, url_for
from markupsafe import Markup

from bandit.eligibility import why_to_nobody
from bandit.lift import lift
from bandit.model import Banner, CountRow, Role, Slot, Tenant
from bandit.reports import clamped, trials_of
from bandit.standing import Standing, State
from bandit.zone import date_to_day
from serving.daily_counts import HasTime
from storage.drain_status import status
from storage.sample_ratio_watch import read_alarms
from web import dashboard_formats as show
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_charts import captioned, interval_bar
from web.dashboard_tables import Column, Table, numeric
from web.errors import ApiError
from web.reports import today

READING_SECONDS = 0.1
"""How long a page reads and computes; the rest is done in the background and comes with a later load. The worker's
requests for banners wait with it."""
PERIODS = {"1": "today", "7": "7 days", "30": "30 days", "90": "90 days"}
LOWEST_LIFT, WIDEST_LIFT = -1.0, 2.0
"""The scale of drawn lifts: from no click at all to three times as good."""
_TROUBLES = {
    "ok": "",
    "degraded": "Store or broker cannot be reached. Banners are chosen from what is known, and nothing is lost.",
    "no drain": "No drain is running: what happens is recorded, but not counted until one runs.",
    "shedding": "The journal is full: banners are shown without being recorded, and clicks are refused.",
    "journal unwritable": "The journal cannot be written: banners are shown without being recorded.",
}


class Period(NamedTuple):
    """Days of the tenant's zone, both included."""

    name: str
    first_day: int
    last_day: int


@dashboard.get("/")
@requires(Role.READ, by_session=True)
def overview() -> str | Response:
    """All slots."""
    tenant = tenant_of_page()
    period, has_time = period_of_page(tenant), reading_time()
    context().daily_counts.note_changes(period.last_day)
    configuration = context().current()  # once, since it asks the store whether it is the newest
    slots = [slot for (owner, _), slot in configuration.slots.items() if owner == tenant.id]
    banners = {slot.id: configuration.banners.get((tenant.id, slot.id), {}) for slot in slots}
    rows = {slot.id: _row(tenant, slot, banners[slot.id], period, has_time) for slot in _each_in_turn(slots)}
    table = _table([rows[slot.id] for slot in slots])
    alarms = [*alarms_of_service(), *_alarms_of_slots(tenant, slots, banners)]
    return page(
        "overview.html",
        tables=[table],
        tenant=tenant,
        period=period,
        periods=PERIODS,
        alarms=alarms,
        slots=slots,
        widest_lift=WIDEST_LIFT,
    )


def period_of_page(tenant: Tenant) -> Period:
    """Up to today: `?days=`, else a week."""
    days = request.args.get("days", "7")
    if days not in PERIODS:
        raise ApiError(400, "bad_value", f"days must be one of {', '.join(PERIODS)}", "days")
    last = date_to_day(today(tenant))
    return Period(PERIODS[days], last - int(days) + 1, last)


def reading_time() -> HasTime:
    """Whether the page may go on reading and computing for so many seconds."""
    end = time.monotonic() + READING_SECONDS
    return lambda seconds: time.monotonic() + seconds < end


def standing_of_slot(tenant: Tenant, slot: Slot, has_time: HasTime) -> Standing | None:
    """Where its race stands; None where that is not known (yet)."""
    view = context().insight.snapshot.view(tenant.id, slot.id)
    if view is None or not view.is_known:
        return None
    now_us = int(context().now().timestamp() * 1e6)
    return context().standings.get(view, now_us, has_time=has_time)


def standing_in_words(found: Standing | None) -> str:
    """What the stop rule says."""
    if found is None:
        return "not known yet"
    names = ", ".join(found.ahead)
    return {
        State.WINNER: f"{names} has won",
        State.LEADER: f"{names} leads",
        State.TIE: f"as good as each other: {names}",
        State.EXPLORING: "still exploring",
    }[found.state]


def drawn_lift(lift: float, low: float, high: float) -> Markup:
    """A lift and its interval on the common scale."""
    words = f"{show.change(lift)}, 95 % interval {show.change_interval(low, high)}"
    return interval_bar(low, lift, high, LOWEST_LIFT, WIDEST_LIFT, words)


def _each_in_turn(slots: Sequence[Slot]) -> Iterator[Slot]:
    """All of them, beginning with another one each second, so that each is read before time is up now and then."""
    start = int(context().now().timestamp()) % len(slots) if slots else 0
    yield from (*slots[start:], *slots[:start])


def _row(
    tenant: Tenant, slot: Slot, banners: Mapping[str, Banner], period: Period, has_time: HasTime
) -> dict[str, Any]:
    days = (period.first_day, period.last_day)
    rows = context().daily_counts.total(tenant.id, slot.id, *days, has_time=has_time)
    return {
        "slot": slot.id,
        "name": slot.name,
        **_measured(rows, slot, {each.id: each.weight for each in banners.values()}),
        "state": standing_in_words(standing_of_slot(tenant, slot, has_time)) if slot.enabled else "switched off",
    }


def _measured(rows: list[CountRow] | None, slot: Slot, weights: Mapping[str, float]) -> dict[str, Any]:
    if rows is None:
        return dict.fromkeys(("impressions", "trials", "clicks", "ctr", "lift", "lift_low", "lift_high"))
    trials, clicks = sum(trials_of(clamped(row), slot.trial) for row in rows), sum(row.clicks for row in rows)
    ratio = lift(rows, trial=slot.trial, weights=weights).clicks
    return {
        "impressions": sum(row.served for row in rows),
        "trials": trials,
        "clicks": clicks,
        "ctr": clicks / trials if trials else None,
        "lift": ratio.lift,
        "lift_low": ratio.low,
        "lift_high": ratio.high,
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    def link(row: Mapping[str, Any]) -> str:
        return url_for("dashboard.show_slot", slot=row["slot"], days=request.args.get("days"))

    return Table(
        "slots",
        "Slots",
        (
            Column("slot", "Slot", link=link),
            Column("name", "Name"),
            numeric("impressions", "Impressions", show.count),
            numeric("clicks", "Clicks", show.count),
            numeric("ctr", "CTR", show.percent),
            numeric("lift", "Lift over holdout", show.change),
            Column("lift_low", "95 % interval", cell=_lift_interval),
            Column("state", "State"),
        ),
        rows,
        "There is no slot yet. Make one with POST /admin/slots (see /docs), then give it banners.",
        more=("lift_high", "trials"),
    )


def _lift_interval(row: Mapping[str, Any]) -> str:
    if row["lift"] is None:
        return show.NOTHING
    return captioned(
        show.change_interval(row["lift_low"], row["lift_high"]),
        drawn_lift(row["lift"], row["lift_low"], row["lift_high"]),
    )


def alarms_of_service() -> Iterator[str]:
    """What is wrong with the service, in sentences."""
    _, state, _ = context().ready()
    if said := _TROUBLES.get(state, f"This process says: {state}."):
        yield said
    drain = status(context().insight.journal_directory)
    if drain.trouble:
        yield f"The drain cannot deliver: {drain.trouble}."
    if drain.dead_letter_bytes:
        yield "Some records were refused for good; see the system page."


def _alarms_of_slots(
    tenant: Tenant, slots: Sequence[Slot], banners: Mapping[str, Mapping[str, Banner]]
) -> Iterator[str]:
    for alarm in read_alarms(context().insight.journal_directory):
        if alarm.tenant == tenant.id:
            yield f"{alarm.slot}: {alarm.banner} is not drawn as often as its logged probabilities say."
    for slot in slots:
        if slot.enabled and not slot.default_banner:
            yield from _alarms_of_banners(slot, banners[slot.id])


def _alarms_of_banners(slot: Slot, banners: Mapping[str, Banner]) -> Iterator[str]:
    now = context().now()
    running = [each for each in banners.values() if why_to_nobody(each, now) is None]
    if not running:
        yield f"{slot.id}: no banner may be shown now, and there is no default banner."
    elif not any(each.ends_at is None or each.ends_at > now + timedelta(days=1) for each in running):
        yield f"{slot.id}: all its banners end within a day."

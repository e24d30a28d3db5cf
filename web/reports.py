"""Reports of one tenant: what was served, viewed and clicked, in days of the tenant's zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response

from bandit import reports as measure
from bandit.beliefs import beliefs
from bandit.city import index, recognise
from bandit.model import OTHER, UNKNOWN, ClickRow, CountRow, Role, Slot, Tenant
from bandit.reports import Belief, Group, ReportRow
from bandit.zone import date_to_day, iso
from storage.history import listing
from web.admin import Json, banners_of, find_banner, find_slot
from web.auth import requires, tenant_of_call
from web.context import context
from web.csv_answer import csv_answer
from web.errors import ApiError
from web.openapi import blueprint
from web.report_schemas import (
    BannerReport,
    CitiesQuery,
    CitiesReport,
    CityReport,
    ClickReport,
    ClicksQuery,
    DayReport,
    Period,
    PolicyReport,
    ReferrerQuery,
    ReferrerReport,
    ReportQuery,
    SegmentReport,
)

DEFAULT_DAYS = 30
MAX_DAYS = 400
MAX_CLICKS = 10_000
CLICK_COLUMNS = ("received_at", "served_at", "slot", "banner", "customer", "referrer")

reports = blueprint("reports", "/reports", "What wins where. Days are those of the tenant's zone.")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about: a slot of a tenant, and days, both included."""

    tenant: Tenant
    slot: Slot
    first: date
    last: date

    def heading(self) -> Json:
        """What every answer begins with."""
        return {
            "slot": self.slot.id,
            "from": self.first.isoformat(),
            "to": self.last.isoformat(),
            "time_zone": self.tenant.time_zone,
        }

    def place(self) -> tuple[str, str, int, int]:
        """The arguments of a store's counts."""
        return self.tenant.id, self.slot.id, date_to_day(self.first), date_to_day(self.last)

    def weights(self, *, competing: bool = False) -> dict[str, float]:
        """What a click on each of the slot's banners is worth; with `competing`, only of those that are not paused."""
        banners = banners_of(self.tenant.id, self.slot.id).values()
        return {banner.id: banner.weight for banner in banners if banner.enabled or not competing}


@reports.get("/banner", responses={200: BannerReport})
@requires(Role.READ)
def report_by_banner(query: ReportQuery) -> Json | Response:
    """By banner, with the chance of each to be the best, and its click rate from own and from borrowed evidence."""
    scope = scope_of(query)
    rows = context().store.counts(*scope.place())
    query = _understood(query, scope, rows)
    known = _beliefs(scope, rows, query.city)
    if query.banner is not None:
        known = {banner: belief for banner, belief in known.items() if banner == query.banner}
    return _answer(scope, Group.BANNER, _rows(rows, query, Group.BANNER, scope, known), query)


@reports.get("/city", responses={200: CityReport})
@requires(Role.READ)
def report_by_city(query: ReportQuery) -> Json | Response:
    """By city; `_other` stands for unknown names, `_unknown` for requests without one."""
    return _counted(query, Group.CITY)


@reports.get("/day", responses={200: DayReport})
@requires(Role.READ)
def report_by_day(query: ReportQuery) -> Json | Response:
    """By day of the impression."""
    return _counted(query, Group.DAY)


@reports.get("/policy", responses={200: PolicyReport})
@requires(Role.READ)
def report_by_policy(query: ReportQuery) -> Json | Response:
    """By how the banner was chosen: learned, holdout or fixed."""
    return _counted(query, Group.POLICY)


@reports.get("/referrer", responses={200: ReferrerReport})
@requires(Role.READ)
def report_by_referrer(query: ReferrerQuery) -> Json | Response:
    """By referrer."""
    scope = scope_of(query)
    rows = context().store.referrer_counts(*scope.place())
    counted = measure.report(rows, Group.REFERRER, trial=scope.slot.trial, weights=scope.weights())
    return _answer(scope, Group.REFERRER, counted, query)


@reports.get("/segment", responses={200: SegmentReport})
@requires(Role.READ)
def report_by_segment(query: ReferrerQuery) -> Json | Response:
    """By segment of customers, as of the last run of the clustering (spark_jobs.segments)."""
    scope = scope_of(query)
    rows = context().store.segment_counts(*scope.place())
    counted = measure.report(rows, Group.SEGMENT, trial=scope.slot.trial, weights=scope.weights())
    return _answer(scope, Group.SEGMENT, counted, query)


@reports.get("/clicks", responses={200: ClickReport})
@requires(Role.READ)
def report_clicks(query: ClicksQuery) -> Json | Response:
    """Accepted clicks of a city and day, by time of receipt: the latest 10,000 where there are more, and then CSV has
    the header `X-Truncated: true`."""
    tenant = tenant_of_call(query.tenant)
    clicks = _clicks(tenant, query.city, query.day)
    city = _city_of(tenant, query.city, has_counts=bool(clicks))
    if city != query.city:
        clicks = _clicks(tenant, city, query.day)
    truncated = len(clicks) > MAX_CLICKS
    rows = [_click(click, tenant.time_zone) for click in clicks[-MAX_CLICKS:]]
    if query.format == "csv":
        answer = csv_answer(f"clicks-{city}-{query.day}", CLICK_COLUMNS, rows)
        answer.headers["X-Truncated"] = str(truncated).lower()
        return answer
    heading = {"city": city, "day": query.day.isoformat(), "time_zone": tenant.time_zone}
    return {**heading, "truncated": truncated, "rows": rows}


@reports.get("/unrecognised-cities", responses={200: CitiesReport})
@requires(Role.READ)
def report_unrecognised_cities(query: CitiesQuery) -> Json | Response:
    """City names no city of the tenant goes by, with their impressions; add them as aliases."""
    tenant = tenant_of_call(query.tenant)
    known = index(tenant.cities)
    found = context().store.unrecognised_cities(tenant.id)
    # A name that was given to a city since is not unrecognised any more.
    rows = [{"city": city, "impressions": seen} for city, seen in found if recognise(city, known) == OTHER]
    if query.format == "csv":
        return csv_answer("unrecognised-cities", ("city", "impressions"), rows)
    return {"rows": rows}


def scope_of(query: Period) -> Scope:
    """The slot and days of a question. Raises ApiError."""
    tenant = tenant_of_call(query.tenant)
    slot = find_slot(tenant.id, query.slot)
    last = query.to or today(tenant)
    first = query.from_ or date.fromordinal(max(1, last.toordinal() - DEFAULT_DAYS + 1))
    if first > last:
        raise ApiError(400, "bad_value", f"from must not be after to ({last})", "from")
    if (last - first).days >= MAX_DAYS:
        raise ApiError(400, "bad_value", f"a report covers at most {MAX_DAYS} days", "from")
    return Scope(tenant, slot, first, last)


def today(tenant: Tenant) -> date:
    """The day it is in the tenant's zone."""
    return context().now().astimezone(ZoneInfo(tenant.time_zone)).date()


def _counted(query: ReportQuery, group: Group) -> Json | Response:
    scope = scope_of(query)
    rows = context().store.counts(*scope.place())
    query = _understood(query, scope, rows)
    return _answer(scope, group, _rows(rows, query, group, scope), query)


def _understood(query: ReportQuery, scope: Scope, rows: Sequence[CountRow]) -> ReportQuery:
    """The question with the id of the city it names. Raises ApiError 404 for a city or banner that never was."""
    if query.banner is not None:
        _check_banner(scope.tenant.id, scope.slot.id, query.banner)
    if query.city is None:
        return query
    has_counts = any(row.city == query.city for row in rows)
    return query.model_copy(update={"city": _city_of(scope.tenant, query.city, has_counts=has_counts)})


def _check_banner(tenant: str, slot: str, banner: str) -> None:
    """Raises ApiError 404 for one that never was; one that was removed keeps its counts."""
    if banner not in banners_of(tenant, slot) and not context().store.banner_was_used(tenant, slot, banner):
        find_banner(tenant, slot, banner)


def _city_of(tenant: Tenant, written: str, *, has_counts: bool) -> str:
    """The id of a city as people write it; an id that has counts stays what it is, whatever became of the city.

    Raises ApiError.
    """
    if has_counts or written in (OTHER, UNKNOWN):
        return written
    city = recognise(written, index(tenant.cities))
    if city in (OTHER, UNKNOWN):
        known = listing([*tenant.cities, OTHER, UNKNOWN])
        message = f"there is no city {written}, and none was counted in these days; there are {known}"
        raise ApiError(404, "unknown", message, "city")
    return city


def _rows(
    rows: Sequence[CountRow], query: ReportQuery, group: Group, scope: Scope, known: Mapping[str, Belief] | None = None
) -> list[ReportRow]:
    chosen = measure.select(rows, banner=query.banner, city=query.city, policy=query.policy)
    return measure.report(chosen, group, trial=scope.slot.trial, weights=scope.weights(), beliefs=known)


def _beliefs(scope: Scope, rows: Sequence[CountRow], city: str | None) -> dict[str, Belief]:
    """As of the report's last day, among the banners that are not paused."""
    return beliefs(
        rows,
        trial=scope.slot.trial,
        today=date_to_day(scope.last),
        half_life_days=scope.slot.half_life_days,
        lookback_days=scope.slot.lookback_days,
        weights=scope.weights(competing=True),
        city=city,
    )


def _answer(scope: Scope, group: Group, rows: Sequence[ReportRow], query: ReferrerQuery) -> Json | Response:
    records = [measure.record(group, row) for row in rows]
    if query.format == "csv":
        name = f"{scope.slot.id}-by-{group}-{scope.first}-{scope.last}"
        return csv_answer(name, measure.columns(group), records)
    return {**scope.heading(), "rows": records}


def _clicks(tenant: Tenant, city: str, day: date) -> list[ClickRow]:
    """One more than is shown tells whether there are more."""
    return context().store.clicks(tenant.id, city, date_to_day(day), limit=MAX_CLICKS + 1)


def _click(click: ClickRow, zone: str) -> dict[str, Any]:
    return {
        "received_at": iso(click.received_at, zone),
        "served_at": iso(click.served_at, zone),
        "slot": click.slot,
        "banner": click.banner,
        "customer": None if click.customer is None else click.customer.hex(),
        "referrer": click.referrer,
    }

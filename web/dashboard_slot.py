"""The page of one slot: its banners, where each does well, and how the traffic was shared."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import Response, request, url_for
from markupsafe import Markup

from bandit import reports as measure
from bandit.lift import lift
from bandit.model import Banner, CountRow, Role, Slot, Tenant
from bandit.reports import Group, ReportRow, clamped, trials_of
from bandit.standing import Standing
from bandit.zone import day_to_date
from web import dashboard_formats as show
from web.admin import banners_of, find_slot
from web.auth import caller, requires
from web.context import context
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_charts import HUES, Series, key, same_hues, share_bar, sparkline, stack
from web.dashboard_evidence import (
    cities_by_trials,
    city_name,
    city_of_page,
    densities_of,
    explained,
    heat_map_of,
    picture,
    rates,
    view_of,
)
from web.dashboard_overview import (
    PERIODS,
    Period,
    drawn_lift,
    period_of_page,
    reading_time,
    standing_in_words,
    standing_of_slot,
)
from web.dashboard_tables import Column, Row, Table, numeric

OTHERS = "other banners"
"""No banner has such an id."""


class _Banners(NamedTuple):
    """What the table of banners is made of."""

    tenant: Tenant
    slot: Slot
    by_id: Mapping[str, Banner]
    rows: Sequence[CountRow]
    period: Period
    explanation: Mapping[str, Any]
    standing: Standing | None


@dashboard.get("/slots/<slot>")
@requires(Role.READ, by_session=True)
def show_slot(slot: str) -> str | Response:
    """One slot."""
    tenant = tenant_of_page()
    found, period, has_time = find_slot(tenant.id, slot), period_of_page(tenant), reading_time()
    context().daily_counts.note_changes(period.last_day)
    days = (period.first_day, period.last_day)
    read = context().daily_counts.rows(tenant.id, slot, *days, has_time=has_time)
    view, rows = view_of(tenant, found), read or []
    city = city_of_page(view)
    standing = standing_of_slot(tenant, found, has_time)
    by_id = banners_of(tenant.id, slot)
    facts = _Banners(tenant, found, by_id, rows, period, explained(tenant, found, city), standing)
    drawn, densities = densities_of(view, city) if by_id else ([], Markup())
    shares = _shares(rows, period)
    hues = same_hues([one.name for one in shares], drawn)
    return page(
        "slot.html",
        tables=[_banner_table(facts, city), _day_table(rows, found, period), _city_table(found, rates(view))],
        tenant=tenant,
        slot=found,
        periods=PERIODS,
        is_read=read is not None,
        total=_total(rows, found),
        lift=lift(rows, trial=found.trial, weights={each.id: each.weight for each in by_id.values()}),
        drawn_lift=drawn_lift,
        state=standing_in_words(standing) if found.enabled else "switched off",
        remaining=None if standing is None else standing.value_remaining,
        cities=[(each, city_name(each)) for each in cities_by_trials(view)],
        city=city,
        heat_map=heat_map_of(view) if by_id else Markup(),
        densities=densities,
        densities_key=key(drawn),
        shares=stack(_days(period), shares, hues, "Share of impressions by day"),
        shares_key=key((one.name for one in shares), hues),
    )


def _total(rows: Sequence[CountRow], slot: Slot) -> ReportRow | None:
    """All banners of the period as one."""
    found = measure.report([row._replace(banner="all") for row in rows], Group.BANNER, trial=slot.trial)
    return found[0] if found else None


def _banner_table(facts: _Banners, city: str) -> Table:
    may_change = caller().role in (Role.ADMIN, Role.OPERATOR)

    def link(row: Row) -> str:
        if not row["is_there"] or not may_change:
            return ""
        return url_for("dashboard.show_banner", slot=facts.slot.id, banner=row["banner"])

    return Table(
        "banners",
        "Banners",
        (
            Column("banner", "Banner", link=link),
            Column("image_url", "Picture", cell=lambda row: picture(facts.by_id.get(row["banner"]))),
            numeric("trials", "Views" if facts.slot.trial == "viewed" else "Impressions", show.count),
            numeric("clicks", "Clicks", show.count),
            numeric("ctr", "CTR", show.percent),
            Column("ctr_low", "95 % interval", cell=lambda row: show.interval(row["ctr_low"], row["ctr_high"])),
            numeric("weight", "Weight", show.number),
            numeric("share_now", f"Share now, {city_name(city)}", show.chance),
            Column("why_not", "", cell=_share_or_reason),
            numeric("p_best", "P(best)", show.chance),
            Column("by_day", "CTR by day", cell=_by_day),
        ),
        _banner_rows(facts),
        "This slot has no banner yet. Make one with POST /admin/slots/<slot>/banners (see /docs).",
        more=("ctr_high", "served", "viewed"),
    )


def _by_day(row: Row) -> str:
    latest = next((ctr for ctr in reversed(row["ctrs"]) if ctr is not None), None)
    return sparkline(row["ctrs"], f"CTR by day, latest {show.percent(latest)}")


def _share_or_reason(row: Row) -> str:
    if row["why_not"]:
        return str(row["why_not"])
    return share_bar(row["share_now"] or 0.0, f"share {show.chance(row['share_now'])}")


def _banner_rows(facts: _Banners) -> list[Row]:
    chances = {one.banner: one.p_best for one in facts.standing.banners} if facts.standing else {}
    found = {row.key: row for row in measure.report(facts.rows, Group.BANNER, trial=facts.slot.trial)}
    now = {row["banner"]: row for row in facts.explanation["banners"]}
    by_day = _ctr_by_day(facts)
    rows = []
    for banner in dict.fromkeys([*facts.by_id, *found]):
        counted = found.get(banner)
        ctrs = by_day.get(banner, [])
        measured = {} if counted is None else counted._asdict()
        rows.append(
            {
                **{name: measured.get(name) for name in ("served", "viewed", "trials", "clicks", "ctr")},
                "ctr_low": measured["ctr_low"] if measured.get("trials") else None,
                "ctr_high": measured["ctr_high"] if measured.get("trials") else None,
                "banner": banner,
                "is_there": banner in facts.by_id,
                "image_url": facts.by_id[banner].image_url if banner in facts.by_id else None,
                "weight": facts.by_id[banner].weight if banner in facts.by_id else None,
                "share_now": now[banner]["probability"] if banner in now else None,
                "why_not": now[banner]["why_not"] if banner in now else "removed",
                "p_best": chances.get(banner),
                "by_day": " ".join(show.percent(ctr) for ctr in ctrs),
                "ctrs": ctrs,
            }
        )
    return sorted(rows, key=lambda row: (not row["is_there"], -(row["share_now"] or 0.0)))


def _ctr_by_day(facts: _Banners) -> dict[str, list[float | None]]:
    """For each banner the CTR of each day of the period; None for a day without a trial."""
    trials: defaultdict[tuple[str, int], int] = defaultdict(int)
    clicks: defaultdict[tuple[str, int], int] = defaultdict(int)
    for row in facts.rows:
        trials[row.banner, row.day] += trials_of(clamped(row), facts.slot.trial)
        clicks[row.banner, row.day] += row.clicks
    days = range(facts.period.first_day, facts.period.last_day + 1)

    def rate(banner: str, day: int) -> float | None:
        tried = trials.get((banner, day))
        return clicks[banner, day] / tried if tried else None

    return {banner: [rate(banner, day) for day in days] for banner in {banner for banner, _ in trials}}


def _days(period: Period) -> list[str]:
    return [day_to_date(day).isoformat() for day in range(period.first_day, period.last_day + 1)]


def _shares(rows: Sequence[CountRow], period: Period) -> list[Series]:
    """Of the impressions of each day, the share of each banner; the less shown of more than HUES are one series."""
    served: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    total: defaultdict[int, int] = defaultdict(int)
    for row in rows:
        served[row.banner][row.day] += row.served
        total[row.day] += row.served
    order = sorted(served, key=lambda banner: -sum(served[banner].values()))
    alone = HUES if len(order) <= HUES else HUES - 1
    groups = {banner: [banner] for banner in order[:alone]}
    if order[alone:]:
        groups[OTHERS] = order[alone:]
    days = range(period.first_day, period.last_day + 1)
    return [
        Series(name, [sum(served[each][day] for each in banners) / (total[day] or 1) for day in days])
        for name, banners in groups.items()
    ]


def _day_table(rows: Sequence[CountRow], slot: Slot, period: Period) -> Table:
    found = measure.report(rows, Group.DAY, trial=slot.trial)
    return Table(
        "days",
        "By day",
        (
            Column("day", "Day"),
            numeric("served", "Impressions", show.count),
            numeric("viewed", "Views", show.count),
            numeric("clicks", "Clicks", show.count),
            numeric("ctr", "CTR", show.percent),
            Column("ctr_low", "95 % interval", cell=lambda row: show.interval(row["ctr_low"], row["ctr_high"])),
        ),
        [measure.record(Group.DAY, row) for row in reversed(found)],
        f"Nothing was shown ({period.name}). Ask for a banner with GET /banner, or look at a longer period.",
        more=("ctr_high",),
    )


def _city_table(slot: Slot, rows: Sequence[Row]) -> Table:
    """All pairs, which the page also draws."""

    def link(row: Row) -> str:
        return url_for("dashboard.show_city", slot=slot.id, city=row["city"], days=request.args.get("days"))

    return Table(
        "cities",
        "Cities and banners",
        (
            Column("city", "City", city_name, link=link),
            Column("banner", "Banner"),
            numeric("trials", "Own trials", show.number),
            numeric("clicks", "Own clicks", show.number),
            numeric("rate", "Expected CTR", show.percent),
        ),
        rows,
        "The tenant has no cities yet. Add some with PATCH /admin/tenants/<tenant> (see /docs).",
    )

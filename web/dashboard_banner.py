"""The page of one banner: its rules, and what the shares become before they are saved."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response, request, url_for
from werkzeug.utils import redirect
from werkzeug.wrappers import Response as AnyResponse

from bandit.model import Banner, Role, Slot, Tenant
from serving import preview
from web import dashboard_formats as show
from web.admin import banners_of, find_banner, find_slot
from web.admin_banners import save_banner
from web.admin_slots import save_slot
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_banner_form import LABELS, Wanted, filled, hidden, read, rebased, refusal
from web.dashboard_charts import share_bar
from web.dashboard_evidence import picture, view_of
from web.dashboard_tables import Column, Row, Table, numeric
from web.errors import ApiError


@dashboard.get("/slots/<slot>/banners/<banner>")
@requires(Role.ADMIN, by_session=True)
def show_banner(slot: str, banner: str) -> str | Response:
    """The rules of a banner."""
    tenant = tenant_of_page()
    found = Wanted(find_banner(tenant.id, slot, banner), find_slot(tenant.id, slot))
    return _page(tenant, found, filled(*found, tenant.time_zone), saved=request.args.get("saved") == "yes")


@dashboard.post("/slots/<slot>/banners/<banner>")
@requires(Role.ADMIN, by_session=True)
def change_banner(slot: str, banner: str) -> AnyResponse | tuple[str | Response, int]:
    """Show what the shares would become, or save."""
    tenant = tenant_of_page()
    now = Wanted(find_banner(tenant.id, slot, banner), find_slot(tenant.id, slot))
    form, theirs = rebased(request.form, filled(*now, tenant.time_zone), tenant.time_zone)
    try:
        wanted = read(form, tenant, now.slot, now.banner, banners_of(tenant.id, slot))
    except ApiError as error:
        wrong, problem = refusal(error, form)
        return _page(tenant, now, form, theirs=theirs, wrong=wrong, problem=problem), error.status
    if theirs or request.form.get("act") != "save":
        return _page(tenant, now, form, theirs=theirs, wanted=wanted), 409 if theirs else 200
    _save(tenant, now, wanted)
    return redirect(url_for("dashboard.show_banner", slot=slot, banner=banner, saved="yes"), 303)


def _save(tenant: Tenant, now: Wanted, wanted: Wanted) -> None:
    """The fields that differ, over what is stored by then."""
    pin = wanted.slot.pinned_banner
    changed = _differing(now.banner, wanted.banner)
    if changed:
        save_banner(tenant.id, lambda _: replace(find_banner(tenant.id, now.slot.id, now.banner.id), **changed))
    if pin != now.slot.pinned_banner:
        save_slot(tenant.id, lambda _: replace(find_slot(tenant.id, now.slot.id), pinned_banner=pin))


def _differing(now: Banner, wanted: Banner) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in Banner.__slots__ if getattr(wanted, name) != getattr(now, name)}


def _page(
    tenant: Tenant,
    now: Wanted,
    form: Mapping[str, str],
    *,
    wanted: Wanted | None = None,
    theirs: Mapping[str, str] | None = None,
    wrong: str = "",
    problem: str = "",
    saved: bool = False,
) -> str | Response:
    return page(
        "banner.html",
        tables=[_share_table(tenant, now, wanted)],
        tenant=tenant,
        slot=now.slot,
        banner=now.banner,
        picture=picture(now.banner),
        form=form,
        labels=LABELS,
        hidden=hidden(filled(*now, tenant.time_zone)),
        is_preview=wanted is not None,
        theirs=theirs,
        wrong=wrong,
        problem=problem,
        saved=saved,
        cities=tenant.cities,
    )


def _share_table(tenant: Tenant, now: Wanted, wanted: Wanted | None) -> Table:
    """Every banner's share now and, where something is wanted, then."""
    rows = _share_rows(tenant, now.slot, wanted)
    columns = [Column("banner", "Banner"), numeric("now", "Share now", show.chance)]
    if wanted is None:
        columns.append(_bars("now"))
    else:
        columns += [
            numeric("then", "Share then", show.chance),
            numeric("change", "Change, in points", lambda value: show.change(value).removesuffix(" %")),
            _bars("then"),
        ]
    caption = "What the shares become" if wanted else "Shares now"
    # What is only wanted has no address to download it from.
    return Table("shares", caption, columns, rows, "There is no banner.", has_csv=wanted is None)


def _share_rows(tenant: Tenant, slot: Slot, wanted: Wanted | None) -> list[Row]:
    snapshot, now_us = context().insight.snapshot, int(context().now().timestamp() * 1e6)
    view, by_id = view_of(tenant, slot), banners_of(tenant.id, slot.id)
    now = preview.shares(snapshot, preview.changed(view, slot, by_id.values()), now_us)
    then = now
    if wanted is not None:
        banners = {**by_id, wanted.banner.id: wanted.banner}
        then = preview.shares(snapshot, preview.changed(view, wanted.slot, banners.values()), now_us)
    return [
        {"banner": name, "now": now[name], "then": then[name], "change": then[name] - now[name]}
        for name in sorted(now, key=lambda name: -then[name])
    ]


def _bars(which: str) -> Column:
    def bar(row: Row) -> str:
        return share_bar(row[which], f"share {show.chance(row[which])}")

    return Column("", "", cell=bar, is_on_page_only=True)

"""Seeds of a slot: a history is uploaded, looked at, applied, and taken back."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from flask import Response, redirect, request, url_for
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from bandit.cold_start import HISTORY_WEIGHT, MAX_STRENGTH
from bandit.model import Role, Slot, Tenant
from storage.seed_changes import without_table
from web import dashboard_formats as show
from web.admin import find_slot
from web.admin_seeds import CHANGES, MAX_CSV_BYTES, is_dry_run, remove, seeds_of, start_job
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, in_words, page, tenant_of_page
from web.dashboard_evidence import city_name
from web.dashboard_keys import remove_button
from web.dashboard_tables import Column, Row, Table, numeric
from web.errors import ApiError
from web.guarded_request import BODY_BYTES, CHUNK_BYTES
from web.refusals import refuse_invalid
from web.schemas import SeedOptions

LABELS = {
    "history": "History",
    "seed_id": "Name",
    "weight": "Weight",
    "max_strength": "Largest strength",
    "banner_column": "Banner column",
    "city_column": "City column",
    "click_column": "Click column",
    "impressions_column": "Impressions column",
    "filter": "Only rows with",
}
"""Every field of the form, and what the page calls it."""


@dashboard.get("/slots/<slot>/seeds")
@requires(Role.ADMIN, by_session=True)
def show_seeds(slot: str) -> str | Response:
    """What there is, and the form for more."""
    tenant = tenant_of_page()
    return _page(tenant, find_slot(tenant.id, slot))


@dashboard.post("/slots/<slot>/seeds")
@requires(Role.ADMIN, body_bytes=MAX_CSV_BYTES + BODY_BYTES, by_session=True)
def upload_seeds(slot: str) -> AnyResponse | tuple[str | Response, int]:
    """Start a dry run or the seeding itself, and look at it."""
    tenant = tenant_of_page()
    found = find_slot(tenant.id, slot)
    try:
        job = start_job(tenant.id, slot, _options(), _chunks(_history()))
    except ApiError as error:
        return _page(tenant, found, request.form, error), error.status
    return redirect(url_for("dashboard.show_seeding", slot=slot, job=job), 303)


@dashboard.get("/slots/<slot>/seeds/jobs/<job>")
@requires(Role.ADMIN, by_session=True)
def show_seeding(slot: str, job: str) -> str | Response:
    """How far it is, and what it says."""
    tenant = tenant_of_page()
    found = find_slot(tenant.id, slot)
    progress = context().jobs.progress(tenant.id, job) if job.isalnum() else None
    if progress is None:
        raise ApiError(404, "unknown", "there is no such job", "job")
    path = context().jobs.file(tenant.id, job, CHANGES) if progress.state == "done" else None
    said = progress.output if path is None else without_table(progress.output)
    return page(
        "seeding.html",
        tables=[_change_table(path)],
        slot=found,
        progress=progress,
        said=said,
        is_dry_run=is_dry_run(tenant.id, job),
    )


@dashboard.post("/slots/<slot>/seeds/<seed>/remove")
@requires(Role.ADMIN, by_session=True)
def remove_seed(slot: str, seed: str) -> AnyResponse:
    """Take the evidence of one seed back."""
    remove(tenant_of_page().id, slot, seed)
    return redirect(url_for("dashboard.show_seeds", slot=slot), 303)


def _page(
    tenant: Tenant, slot: Slot, form: Mapping[str, str] | None = None, error: ApiError | None = None
) -> str | Response:
    """The seeds of the slot, and the form as it was filled in."""
    return page(
        "seeds.html",
        tables=[_table(slot.id, seeds_of(tenant.id, slot.id))],
        slot=slot,
        defaults={"weight": HISTORY_WEIGHT, "max_strength": MAX_STRENGTH},
        labels=LABELS,
        form=form or {},
        wrong=error and error.field,
        problem=error and in_words(error.field, error.message, LABELS),
    )


def _history() -> IO[bytes]:
    """The file of the form. Raises ApiError."""
    file = request.files.get("history")
    if file is None or not file.filename:
        raise ApiError(400, "missing", "choose a CSV file with a header line", "history")
    return file.stream


def _options() -> SeedOptions:
    """Those of the form that are filled in. Raises ApiError."""
    given = {name: text for name in LABELS if (text := request.form.get(name, "").strip())}
    try:
        return SeedOptions.model_validate({**given, "dry_run": request.form.get("act") != "apply"})
    except ValidationError as error:
        refuse_invalid(error)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _change_table(path: Path | None) -> Table:
    """Every pair that changes; what this seed says of it before and after."""
    rows = [] if path is None else list(csv.DictReader(path.read_text("utf-8").splitlines()))

    def rate(row: Row, when: str) -> str:
        trials, clicks = float(row[f"{when}_trials"]), float(row[f"{when}_clicks"])
        return show.percent(clicks / trials if trials else None)

    return Table(
        "pairs",
        "What changes of this seed",
        (
            Column("city", "City", city_name),
            Column("banner", "Banner"),
            numeric("old_trials", "Seed's trials before", lambda value: f"{float(value):,.1f}"),
            numeric("new_trials", "Seed's trials after", lambda value: f"{float(value):,.1f}"),
            Column("old_clicks", "Seed's CTR before", cell=lambda row: rate(row, "old"), is_number=True),
            Column("new_clicks", "Seed's CTR after", cell=lambda row: rate(row, "new"), is_number=True),
        ),
        rows,
        "No pair of city and banner changes.",
    )


def _table(slot: str, rows: list[dict[str, Any]]) -> Table:
    def button(row: Row) -> str:
        return remove_button(url_for("dashboard.remove_seed", slot=slot, seed=row["seed_id"]), "remove")

    return Table(
        "seeds",
        "Seeds",
        (
            Column("seed_id", "Seed"),
            numeric("cells", "Pairs of city and banner", show.count),
            numeric("trials", "Worth, in trials", show.number),
            numeric("clicks", "Clicks", show.number),
            Column("", "Remove", cell=button, is_on_page_only=True),
        ),
        rows,
        "This slot has no seeds: it starts from nothing. Upload a history below, and look at the dry run first.",
    )

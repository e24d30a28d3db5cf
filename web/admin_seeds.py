"""Seeds: evidence from history. The seeding command does the work, as a job."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import fsum
from pathlib import Path

from flask_openapi3.models import RawModel

from bandit.model import Role, Seed
from web import changes
from web.admin import Json, find_slot
from web.auth import requires, tenant_of_call
from web.context import context
from web.errors import ApiError
from web.guarded_request import GuardedRequest
from web.jobs import TooManyJobs
from web.openapi import blueprint, errors
from web.schemas import JobFull, JobPath, JobStarted, OfTenant, SeedList, SeedOptions, SeedPath, SlotPath

MAX_CSV_BYTES = 20 << 20
CHANGES = "changes.csv"
"""Beside a job's input: every pair it changes, or would."""
DRY_RUN = "--dry-run"

seeds = blueprint("seeds", "/admin", "Evidence from history, so that a slot does not start from nothing.")


class History(GuardedRequest, RawModel):
    """The body: CSV with a header."""

    mimetypes: list[str] = ["text/csv"]  # noqa: RUF012 - declared so by the library


@seeds.get("/slots/<slot>/seeds", responses={200: SeedList})
@requires(Role.ADMIN)
def list_seeds(path: SlotPath, query: OfTenant) -> Json:
    """The seeds of the slot, and how much evidence each holds."""
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    return {"seeds": seeds_of(tenant.id, path.slot)}


@seeds.post("/slots/<slot>/seeds", responses={202: JobStarted, **errors(413, 415, 429)})
@requires(Role.ADMIN, body_bytes=MAX_CSV_BYTES)
def start_seeding(path: SlotPath, query: SeedOptions, raw: History) -> tuple[Json, int, dict[str, str]]:
    """Learn seeds from a history in CSV, at most 20 MiB. Runs as a job; dry_run only shows what would change."""
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    raw.require_type("text/csv")
    job = start_job(tenant.id, path.slot, query, raw.chunks())
    url = f"/admin/jobs/{job}"
    return {"job": job, "url": url}, 202, {"Location": url}


@seeds.delete("/slots/<slot>/seeds/<seed>", responses={204: None})
@requires(Role.ADMIN)
def remove_seeds(path: SeedPath, query: OfTenant) -> tuple[str, int]:
    """Take the evidence of one seed back."""
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    remove(tenant.id, path.slot, path.seed)
    return "", 204


@seeds.get("/jobs/<job>", responses={200: JobFull})
@requires(Role.ADMIN)
def show_job(path: JobPath, query: OfTenant) -> Json:
    """How far a job is, and what it has printed."""
    progress = context().jobs.progress(tenant_of_call(query.tenant).id, path.job)
    if progress is None:
        raise ApiError(404, "unknown", f"there is no job {path.job}", "job")
    return asdict(progress)


def start_job(tenant: str, slot: str, query: SeedOptions, content: Iterable[bytes]) -> str:
    """Start the seeding command on this history; the job's id. Raises ApiError."""
    options = _options(tenant, slot, query)
    try:
        job = context().jobs.start(tenant, content, lambda file: _command(file, options), context().now())
    except TooManyJobs:
        message = "the tenant's earlier jobs have not ended yet; wait for one of them"
        raise ApiError(429, "too_many_jobs", message, headers=(("Retry-After", "10"),)) from None
    if not query.dry_run:
        changes.note(tenant, "started", f"seeding of {slot}", " ".join([f"job {job}", *options[2:]]))
    return job


def is_dry_run(tenant: str, job: str) -> bool:
    """Whether the tenant's job only shows what would change."""
    return DRY_RUN in context().jobs.command(tenant, job)


def seeds_of(tenant: str, slot: str) -> list[Json]:
    """The seeds of a slot, and how much evidence each holds."""
    by_id: defaultdict[str, list[Seed]] = defaultdict(list)
    for seed in context().store.seeds(tenant, slot):
        by_id[seed.seed_id].append(seed)
    return [_summary(seed_id, cells) for seed_id, cells in sorted(by_id.items())]


def remove(tenant: str, slot: str, seed: str) -> None:
    """Take the evidence of one seed back. Raises ApiError where there is none."""
    if not changes.delete_seeds(tenant, slot, seed):
        raise ApiError(404, "unknown", f"there is no seed {seed} in slot {slot}", "seed")


def _summary(seed_id: str, cells: Sequence[Seed]) -> Json:
    trials, clicks = fsum(cell.trials for cell in cells), fsum(cell.clicks for cell in cells)
    return {"seed_id": seed_id, "cells": len(cells), "trials": trials, "clicks": clicks}


def _options(tenant: str, slot: str, query: SeedOptions) -> list[str]:
    """The query as the command's options; `--name=value`, so that no value is taken for an option."""
    given = query.model_dump(exclude={"tenant", "dry_run"}, exclude_none=True)
    options = {"tenant": tenant, "slot": slot, **given}
    flags = [DRY_RUN] if query.dry_run else []
    return [*(f"--{name.replace('_', '-')}={value}" for name, value in options.items()), *flags]


def _command(file: Path, options: Sequence[str]) -> list[str]:
    table = file.with_name(CHANGES)
    return [sys.executable, "-m", "storage.seed_cold_start", str(file), f"--table={table}", *options]

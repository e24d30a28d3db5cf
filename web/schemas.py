"""What /admin takes and answers. The same declarations validate requests and make /openapi.json."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from bandit.cold_start import HIGHEST_STRENGTH, HISTORY_WEIGHT, MAX_STRENGTH
from bandit.model import EXPLORATION_SHARE, Role, Trial
from web.fields import (
    Answer,
    Body,
    ColumnName,
    Filter,
    Id,
    IdName,
    JobId,
    KeyId,
    LandingUrl,
    Moment,
    Origin,
    Parameters,
    PictureUrl,
    Pixels,
    Share,
    Text,
    TimeZone,
)

MAX_CITIES = 1000
MAX_SEGMENTS = 32
MAX_BANNERS = 200


def _without_defaults(schema: dict[str, Any]) -> None:
    """A change leaves out what stays, so no default applies and nothing is required."""
    schema.pop("required", None)
    for field in schema["properties"].values():
        field.pop("default", None)


class ErrorDetail(Answer):
    """What went wrong."""

    code: str
    message: str = Field(description="Safe to show; says what would be right.")
    field: str | None = Field(description="The parameter or the field of the body that is meant.")


class ErrorAnswer(Answer):
    """The one shape of every error."""

    error: ErrorDetail


# -- where -----------------------------------------------------------------------------------------------------------


class OfTenant(Parameters):
    """Query of a call about one tenant."""

    tenant: Id | None = Field(None, description="Which tenant. An operator must say it, other keys have only one.")


class TenantPath(Parameters):
    """A tenant in the path."""

    tenant: Id


class KeyPath(Parameters):
    """A key in the path."""

    key: KeyId


class SlotPath(Parameters):
    """A slot in the path."""

    slot: Id


class BannerPath(SlotPath):
    """A banner in the path."""

    banner: Id


class SeedPath(SlotPath):
    """A seed in the path."""

    seed: Id


class JobPath(Parameters):
    """A job in the path."""

    job: JobId


# -- tenants ---------------------------------------------------------------------------------------------------------


class TenantBody(Body):
    """A tenant, as far as it can be changed."""

    id: Id | None = Field(None, description="May repeat the id of the path.")
    name: Text = ""
    time_zone: TimeZone = Field("Asia/Kolkata", description="The zone its days and times are shown in.")
    platforms: list[Id] = Field(["web"], min_length=1, max_length=32)
    cities: dict[IdName, list[Text]] = Field({}, max_length=MAX_CITIES, description="City id to its other names.")
    segments: list[Id] = Field([], max_length=MAX_SEGMENTS)
    origins: list[Origin] = Field([], max_length=100, description="Web origins whose pages may use a serve key.")


class TenantPatch(TenantBody):
    """The fields of a tenant that shall change."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


class TenantFull(TenantBody):
    """A tenant."""

    id: Id


class TenantList(Answer):
    """All tenants."""

    tenants: list[TenantFull]


# -- keys ------------------------------------------------------------------------------------------------------------


class NewKey(Body):
    """A key to make."""

    role: Role = Field(
        strict=False,
        description="serve: browsers; server: a storefront's back end; read: reports; admin: all of one tenant; "
        "operator: everything.",
    )
    name: Text = ""


class KeyFull(Answer):
    """A key, without its secret."""

    id: str
    tenant: str | None
    role: Role
    name: str
    created_at: Moment = Field(json_schema_extra={"format": "date-time"})


class KeyMade(KeyFull):
    """A new key. Its text is shown this once and kept nowhere."""

    key: str = Field(description="bk_<id>_<secret>, to be sent as `Authorization: Bearer`.")


class KeyList(Answer):
    """Keys of a tenant, or those of operators where none is named."""

    keys: list[KeyFull]


# -- slots -----------------------------------------------------------------------------------------------------------


class SlotBody(Body):
    """A slot, as far as it can be changed."""

    id: Id | None = Field(None, description="May repeat the id of the path.")
    name: Text = ""
    enabled: bool = True
    shadow: bool = Field(
        False, description="Show what the caller says (`banner`), or default_banner, and log what would be chosen."
    )
    width: Pixels | None = None
    height: Pixels | None = None
    platforms: list[Id] = Field(["web"], min_length=1, max_length=32)
    trial: Trial = Field(Trial.SERVED, strict=False, description="What counts as an attempt.")
    attribution_window_seconds: int = Field(86_400, ge=1, le=30 * 86_400, description="A later click is not a reward.")
    exploration_share: Share = Field(EXPLORATION_SHARE, description="Spread evenly over all banners that may be shown.")
    holdout_share: Share = Field(0.0, description="Visitors who get a uniform choice, to measure lift.")
    half_life_days: float | None = Field(14.0, gt=0, le=3650, description="Evidence this old counts half; null: all.")
    lookback_days: int = Field(90, ge=1, le=400, description="Older evidence counts nothing.")
    pinned_banner: Id | None = Field(None, description="Always shown while it may be.")
    default_banner: Id | None = Field(None, description="Shown when no banner may compete.")
    new_banner_max_share: float = Field(
        0.2, gt=0, le=1, description="What a new banner may take at most beside known ones."
    )
    new_banner_trials: int = Field(
        1_000, ge=0, le=1_000_000, description="A banner of fewer trials in the slot is new; 0: none is."
    )


class SlotPatch(SlotBody):
    """The fields of a slot that shall change."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


class SlotFull(SlotBody):
    """A slot."""

    id: Id


class SlotList(Answer):
    """All slots of the tenant."""

    slots: list[SlotFull]


# -- banners ---------------------------------------------------------------------------------------------------------


class BannerBody(Body):
    """A banner, as far as it can be changed."""

    id: Id | None = Field(None, description="May repeat the id of the path.")
    image_url: PictureUrl = Field("", description="Set by uploading a picture, or any picture's URL.")
    landing_url: LandingUrl = Field(description="Where a click leads.")
    alt: Text = ""
    width: Pixels | None = None
    height: Pixels | None = None
    weight: float = Field(1.0, gt=0, le=1e6, description="Value of a click.")
    enabled: bool = Field(True, description="False: paused. A banner without a picture must be.")
    starts_at: Moment = None
    ends_at: Moment = None
    cities: list[Id] = Field([], max_length=MAX_CITIES, description="Empty: all.")
    excluded_cities: list[Id] = Field([], max_length=MAX_CITIES)
    platforms: list[Id] = Field([], max_length=32, description="Narrows the slot's; empty: all of them.")
    segments: list[Id] = Field([], max_length=MAX_SEGMENTS, description="Empty: everybody.")
    min_share: Share = 0.0
    max_share: Share = 1.0


class BannerPatch(BannerBody):
    """The fields of a banner that shall change."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)
    landing_url: LandingUrl = ""


class BannerFull(BannerBody):
    """A banner."""

    id: Id


class BannerList(Answer):
    """All banners of the slot, in order of creation."""

    banners: list[BannerFull]


# -- seeds and jobs --------------------------------------------------------------------------------------------------


class SeedOptions(OfTenant):
    """How to read the history, and how much it shall count."""

    seed_id: Id | None = Field(None, description="Name of this evidence; the same name again replaces it.")
    banner_column: ColumnName | None = None
    city_column: ColumnName | None = None
    click_column: ColumnName | None = None
    impressions_column: ColumnName | None = None
    filter: Filter | None = Field(None, description="COLUMN=VALUE: only such rows.")
    weight: float | None = Field(
        None, gt=0, le=1, description=f"Trials for an impression of history; {HISTORY_WEIGHT} if it is left out."
    )
    max_strength: float | None = Field(
        None,
        gt=0,
        le=HIGHEST_STRENGTH,
        description=f"At most so many trials for one pair; {MAX_STRENGTH:g} if it is left out.",
    )
    dry_run: bool = Field(False, description="Only show what would change.")


class SeedFull(Answer):
    """Evidence from one history."""

    seed_id: str
    cells: int = Field(description="(city, banner) pairs it speaks of.")
    trials: float
    clicks: float


class SeedList(Answer):
    """All seeds of the slot."""

    seeds: list[SeedFull]


class JobStarted(Answer):
    """A job that was taken."""

    job: str
    url: str


class JobFull(Answer):
    """How far a job is."""

    job: str
    state: Literal["queued", "running", "done", "failed"]
    exit_code: int | None
    output: str

"""The values everything else speaks of: tenants, slots, banners, keys, seeds and counts.

Names follow the words of docs/architecture.md. All values are frozen; a change is a new value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"
"""Tenant, slot, banner, city, platform, segment and referrer ids; at most 32 ASCII bytes, so a token stays short."""

OTHER = "_other"
"""The city (or referrer) that stands for names the tenant has not configured. No id can start with an underscore."""

UNKNOWN = "_unknown"
"""The city of a request that named none."""

ALL_CITIES = ""
"""The city of counts that are of all cities together."""

MAX_REFERRERS = 200
"""Referrers counted by name for one tenant; later ones are counted as OTHER."""


IMPORTED_SHARD = 65_535
"""The shard of counts brought from elsewhere; no log owns it, and every recount carries it over."""


class Kind(StrEnum):
    """What happened."""

    SERVED = "served"
    VIEWED = "viewed"
    CLICKED = "clicked"


class Policy(StrEnum):
    """How the banner of an impression was chosen."""

    LEARNED = "learned"
    HOLDOUT = "holdout"
    FIXED = "fixed"


class Reason(StrEnum):
    """Why that policy applied."""

    LEARNED = "learned"
    HOLDOUT = "holdout"
    PINNED = "pinned"
    DEFAULT = "default"
    SHADOW = "shadow"


class Verdict(StrEnum):
    """Whether an event counts; judged once, when HTTP receives it."""

    ACCEPTED = "accepted"
    UNCOUNTED = "uncounted"
    LATE = "late"
    FUTURE = "future"
    BOT = "bot"
    PREFETCH = "prefetch"
    RATE_LIMITED = "rate_limited"
    TOO_FAST = "too_fast"


class Trial(StrEnum):
    """What a slot counts as an attempt."""

    SERVED = "served"
    VIEWED = "viewed"


class Role(StrEnum):
    """What a key may do; OPERATOR is the only role without a tenant."""

    SERVE = "serve"
    SERVER = "server"
    READ = "read"
    ADMIN = "admin"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer of the service; everything below belongs to exactly one."""

    id: str
    name: str = ""
    time_zone: str = "Asia/Kolkata"
    platforms: tuple[str, ...] = ("web",)
    cities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """City id -> other names it goes by; the id itself is always understood."""
    segments: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    """Web origins (scheme://host[:port]) whose pages may call with a serve key."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key `bk_<id>_<secret>`; only the SHA-256 of the secret is kept."""

    id: str
    tenant: str | None
    role: Role
    secret_hash: bytes
    name: str = ""
    created_at: datetime | None = None


EXPLORATION_SHARE = 0.005
"""The default of a slot."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place on a page where banners compete."""

    id: str
    name: str = ""
    enabled: bool = True
    shadow: bool = False
    """Shows what the caller or the default says, and logs what would have been chosen."""
    width: int | None = None
    height: int | None = None
    platforms: tuple[str, ...] = ("web",)
    trial: Trial = Trial.SERVED
    attribution_window_seconds: int = 86_400
    exploration_share: float = EXPLORATION_SHARE
    holdout_share: float = 0.0
    half_life_days: float | None = 14.0
    lookback_days: int = 90
    pinned_banner: str | None = None
    default_banner: str | None = None
    new_banner_max_share: float = 0.2
    """Beside known banners none takes more of the learned choices before it has `new_banner_trials` in the slot."""
    new_banner_trials: int = 1_000


@dataclass(frozen=True, slots=True)
class Banner:
    """One arm: picture, link, value of a click, and the rules of when it may be shown."""

    slot: str
    id: str
    image_url: str
    landing_url: str
    alt: str = ""
    width: int | None = None
    height: int | None = None
    weight: float = 1.0
    enabled: bool = True
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    cities: tuple[str, ...] = ()
    """Cities it may be shown in; empty means all."""
    excluded_cities: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    """Narrows the slot's platforms; empty means all of them."""
    segments: tuple[str, ...] = ()
    """Segments it is for; empty means everybody."""
    min_share: float = 0.0
    max_share: float = 1.0


class Seed(NamedTuple):
    """Evidence from history for one (city, banner): how many trials it is worth, and how many of them clicked."""

    seed_id: str
    city: str
    banner: str
    trials: float
    clicks: float


class CountRow(NamedTuple):
    """Cumulative numbers of one cell of one slot."""

    day: int
    """Days since 1970 in the tenant's zone, when the impression was served."""
    policy: str
    city: str
    banner: str
    served: int
    viewed: int
    clicks: int


class ReferrerRow(NamedTuple):
    """Cumulative numbers of one (referrer, banner) of one slot."""

    day: int
    referrer: str
    banner: str
    served: int
    viewed: int
    clicks: int


class SampledRow(NamedTuple):
    """Accepted impressions of a day for which the same banners competed, and for which this one was drawn."""

    day: int
    eligible: str
    """The ids of the banners that could be drawn, with spaces between."""
    banner: str
    decisions: int
    inverse: float
    """The sum of 1 / propensity."""
    squares: float
    """The sum of 1 / propensity^2."""
    largest: float
    """The largest 1 / propensity."""


class WouldBeRow(NamedTuple):
    """Accepted impressions of a slot in shadow for which this banner would have been chosen."""

    day: int
    city: str
    banner: str
    decisions: int


class SegmentRow(NamedTuple):
    """Cumulative numbers of one (segment of customers, banner) of one slot, as of the clustering that found it."""

    day: int
    segment: str
    banner: str
    served: int
    viewed: int
    clicks: int


class ClickRow(NamedTuple):
    """One accepted click: the clicked-banner data. Times are microseconds since 1970 UTC."""

    received_at: int
    served_at: int
    impression_id: bytes
    slot: str
    city: str
    banner: str
    customer: bytes | None
    """Keyed hash of the customer, never the customer."""
    referrer: str | None


class ChangeRecord(NamedTuple):
    """Who changed what: one line of the audit log."""

    changed_at: int
    """Microseconds since 1970 UTC."""
    key: str
    """The id of the key that was used."""
    role: str
    key_name: str
    action: str
    """made, changed, removed ..."""
    subject: str
    """What was changed, such as `banner home/sale`."""
    detail: str
    """Field by field, from what to what."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All configuration of all tenants at one version."""

    version: int
    tenants: Mapping[str, Tenant]
    keys: Mapping[str, ApiKey]
    """By key id."""
    slots: Mapping[tuple[str, str], Slot]
    """By (tenant, slot)."""
    banners: Mapping[tuple[str, str], Mapping[str, Banner]]
    """By (tenant, slot), then banner id, in order of creation."""
    partitions: int = 1
    """Into how many shards new impressions are spread: the partitions of the topic they are counted from."""


class Epoch(NamedTuple):
    """One generation of counts, over one incarnation of a topic."""

    number: int
    """Never used twice."""
    topic: str
    topic_id: str
    """Of the incarnation; a topic that was deleted and made again has another."""
    partitions: int
    started_us: int
    """When it was made (microseconds since 1970 UTC), stored once: the base of all stamps."""
    start_offsets: Mapping[int, int]
    """Partition -> where counting begins; 0 for those not named."""
    state: str
    """filling, active or retired."""

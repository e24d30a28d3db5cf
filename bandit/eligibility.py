"""Which banners may compete for one visit, and why the others may not."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from bandit.model import Banner


class Visit(NamedTuple):
    """What of a request decides who may compete."""

    city: str
    platform: str
    segment: str | None


def why_not(banner: Banner, visit: Visit, now: datetime) -> str | None:
    """None when the banner may be shown, else the first rule that forbids it."""
    if (reason := why_to_nobody(banner, now)) is not None:
        return reason
    if banner.cities and visit.city not in banner.cities:
        return "not for this city"
    if visit.city in banner.excluded_cities:
        return "city excluded"
    if banner.platforms and visit.platform not in banner.platforms:
        return "not for this platform"
    if banner.segments and visit.segment not in banner.segments:
        return "not for this segment"
    return None


def why_to_nobody(banner: Banner, now: datetime) -> str | None:
    """Of the rules that are the same for all visits the first one that forbids it."""
    if not banner.enabled:
        return "paused"
    if banner.starts_at is not None and now < banner.starts_at:
        return "not started"
    if banner.ends_at is not None and now >= banner.ends_at:
        return "ended"
    return None


def next_change(banners: Iterable[Banner], now: datetime) -> datetime | None:
    """The next start or end of a schedule: until then eligibility cannot change by itself."""
    times = (time for banner in banners for time in (banner.starts_at, banner.ends_at))
    return min((time for time in times if time is not None and time > now), default=None)

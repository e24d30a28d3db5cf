"""Who may compete, and why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bandit.eligibility import Visit, next_change, why_not
from bandit.model import Banner

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BANNER = Banner("home", "b", "https://img.example/b.png", "https://shop.example/b")
VISIT = Visit("pune", "web", "gold")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"enabled": False}, "paused"),
        ({"starts_at": NOW + HOUR}, "not started"),
        ({"starts_at": NOW}, None),
        ({"ends_at": NOW}, "ended"),
        ({"ends_at": NOW + HOUR}, None),
        ({"cities": ("pune", "mumbai")}, None),
        ({"cities": ("mumbai",)}, "not for this city"),
        ({"excluded_cities": ("pune",)}, "city excluded"),
        ({"platforms": ("android",)}, "not for this platform"),
        ({"platforms": ("web",)}, None),
        ({"segments": ("silver",)}, "not for this segment"),
        ({"segments": ("gold",)}, None),
    ],
)
def test_the_first_rule_that_forbids_is_told(change: dict[str, Any], reason: str | None) -> None:
    assert why_not(replace(BANNER, **change), VISIT, NOW) == reason


def test_a_visitor_without_segment_sees_only_banners_for_everybody() -> None:
    visit = VISIT._replace(segment=None)
    assert why_not(BANNER, visit, NOW) is None
    assert why_not(replace(BANNER, segments=("gold",)), visit, NOW) == "not for this segment"


def test_the_next_change_is_the_nearest_start_or_end_to_come() -> None:
    banners = [
        replace(BANNER, starts_at=NOW - HOUR, ends_at=NOW + 3 * HOUR),
        replace(BANNER, starts_at=NOW + 2 * HOUR),
    ]
    assert next_change(banners, NOW) == NOW + 2 * HOUR
    assert next_change(banners, NOW + 2 * HOUR) == NOW + 3 * HOUR
    assert next_change([BANNER], NOW) is None

"""Which days lie wholly inside what is recounted; the others stay as they were counted."""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from bandit.zone import date_to_day, day_of
from storage.archive import Manifest

LATEST_ZONE = "Pacific/Kiritimati"
"""UTC+14: for tenants that are gone, whose zone nobody knows."""


class WholeDays(NamedTuple):
    """From which day on each tenant's days are whole, counted since 1970."""

    zones: Mapping[str, str]
    """Tenant -> time zone."""
    complete_since_us: int
    """What was received before it may be missing; 0: nothing is."""
    removed_before: int
    """Days before it were removed; 0: none was."""

    def first(self, tenant: str) -> int:
        """The tenant's first whole day: a day that had not begun when the source did."""
        if not self.complete_since_us:
            return self.removed_before
        return max(self.removed_before, day_of(self.complete_since_us, self.zones.get(tenant, LATEST_ZONE)) + 1)

    @property
    def are_all(self) -> bool:
        """Whether nothing is missing."""
        return not (self.complete_since_us or self.removed_before)


def of_archive(manifest: Manifest, zones: Mapping[str, str], complete_since_us: int) -> WholeDays:
    """Those of an archive from which nothing is missing that was received since then."""
    removed = date_to_day(date.fromisoformat(manifest.removed_before)) if manifest.removed_before else 0
    return WholeDays(zones, complete_since_us, removed)

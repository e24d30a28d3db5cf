"""Days and clock readings in a tenant's zone. Times are microseconds since 1970 UTC, days are counted since 1970."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

EPOCH = date(1970, 1, 1)
SECOND_US = 1_000_000
QUARTER_US = 900 * SECOND_US
"""Zones change their offset only at whole quarters of an hour, so a day and an offset hold for one of them."""


def moment(us: int, zone: str) -> datetime:
    """The time in the zone, aware."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(ZoneInfo(zone))


def day_of(us: int, zone: str) -> int:
    """The zone's day at this time."""
    return (moment(us, zone).date() - EPOCH).days


def day_to_date(day: int) -> date:
    """The calendar date of a day number."""
    return EPOCH + timedelta(days=day)


def date_to_day(value: date) -> int:
    """The day number of a calendar date."""
    return (value - EPOCH).days


def iso(us: int, zone: str) -> str:
    """ISO 8601 with microseconds and the zone's offset."""
    return moment(us, zone).isoformat(timespec="microseconds")


class ZoneClock:
    """day_of and iso for a clock that mostly moves forward, without a calendar computation each time."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._day = (0, 0, 0)
        self._second = (-1, 0, "")

    def day(self, us: int) -> int:
        """Same as day_of(us, zone)."""
        start, end, day = self._day
        if not start <= us < end:
            start = us - us % QUARTER_US
            day = day_of(us, self.zone)
            self._day = (start, start + QUARTER_US, day)
        return day

    def iso(self, us: int) -> str:
        """Same as iso(us, zone)."""
        return self.read(us)[1]

    def read(self, us: int) -> tuple[int, str]:
        """(day(us), iso(us))."""
        second, fraction = divmod(us, SECOND_US)
        known, day, form = self._second
        if second != known:
            day, text = self.day(us), iso(second * SECOND_US, self.zone)
            form = f"{text[:20]}%06d{text[26:]}"
            self._second = (second, day, form)
        return day, form % fraction


@cache
def clock(zone: str) -> ZoneClock:
    """The process's clock of a zone; the number of zones is bounded."""
    return ZoneClock(zone)

"""Days and clock readings in a tenant's zone."""

import random
from datetime import UTC, date, datetime

import pytest

from bandit.zone import ZoneClock, date_to_day, day_of, day_to_date, iso

SECOND = 1_000_000


def us(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * SECOND


def test_midnight_in_india_is_half_past_six_in_the_evening_of_utc() -> None:
    before, after = us(2026, 11, 23, 18, 29, 59), us(2026, 11, 23, 18, 30, 0)
    assert day_to_date(day_of(before, "Asia/Kolkata")) == date(2026, 11, 23)
    assert day_to_date(day_of(after, "Asia/Kolkata")) == date(2026, 11, 24)
    assert iso(after, "Asia/Kolkata") == "2026-11-24T00:00:00.000000+05:30"


def test_the_day_clocks_go_back_lasts_25_hours() -> None:
    start, last = us(2026, 10, 24, 22, 0, 0), us(2026, 10, 25, 22, 59, 59)
    days = {day_of(moment, "Europe/Berlin") for moment in range(start, last + 1, 900 * SECOND)}
    assert days == {date_to_day(date(2026, 10, 25))}
    assert day_of(last + SECOND, "Europe/Berlin") == date_to_day(date(2026, 10, 26))


def test_the_offset_shown_follows_daylight_saving() -> None:
    assert iso(us(2026, 10, 25, 0, 59, 59), "Europe/Berlin") == "2026-10-25T02:59:59.000000+02:00"
    assert iso(us(2026, 10, 25, 1, 0, 0), "Europe/Berlin") == "2026-10-25T02:00:00.000000+01:00"


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC"])
def test_the_remembering_clock_says_what_the_calendar_says(zone: str) -> None:
    clock, chance = ZoneClock(zone), random.Random(7)
    for start in (us(2026, 3, 29, 0, 0, 0), us(2026, 10, 25, 0, 0, 0), us(2026, 6, 1, 17, 0, 0)):
        moments = [start + chance.randrange(7200 * SECOND) for _ in range(200)]
        for moment in (*sorted(moments), *moments[:20]):
            assert clock.day(moment) == day_of(moment, zone)
            assert clock.iso(moment) == iso(moment, zone)

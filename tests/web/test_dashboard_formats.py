"""Numbers as people read them."""

from datetime import UTC, datetime

import pytest

from web import dashboard_formats as show


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,230"), (25, "25"), (0.25, "0.25"), (0.012345, "0.0123"), (1e6, "1,000,000"), (None, "–")],
)
def test_a_number_has_three_digits_that_say_something(value: float | None, text: str) -> None:
    assert show.number(value) == text


def test_rates_chances_and_changes_have_their_own_forms() -> None:
    assert show.percent(0.012345) == "1.23 %" and show.percent(0) == "0 %"
    assert [show.chance(value) for value in (0, 1e-5, 0.5, 0.99999, 1)] == [
        "0.0 %",
        "< 0.1 %",
        "50.0 %",
        "> 99.9 %",
        "100.0 %",
    ]
    assert show.change(-0.1) == "−10.0 %" and show.change_interval(-0.01, 0.2) == "−1.0 % to +20.0 %"
    assert show.interval(None, 0.5) == "–" and show.count(1234567) == "1,234,567"


def test_times_are_those_of_the_zone() -> None:
    assert show.moment(datetime(2026, 1, 31, 20, 0, tzinfo=UTC), "Asia/Kolkata") == "1 Feb 2026, 01:30:00"


def test_sizes_and_ages_have_the_unit_that_fits() -> None:
    assert [show.size(value) for value in (10, 2048, 5 << 20, 3 << 30)] == ["10 bytes", "2 KiB", "5 MiB", "3 GiB"]
    assert [show.seconds(value) for value in (1.25, 600, 86_400)] == ["1.2 s", "10 min", "24.0 h"]

"""Details of the dashboard's charts that no page shows by itself."""

import pytest

from web.dashboard_charts import TICKS, heat_map, round_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 0.0878, [0, 0.02, 0.04, 0.06, 0.08]),
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0305, 0.0344, [0.031, 0.032, 0.033, 0.034]),
        (0.03, 0.101, [0.04, 0.06, 0.08, 0.1]),
    ],
)
def test_ticks_are_round_numbers_of_the_scale(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks) and len(ticks) <= TICKS


def test_a_heat_map_has_room_for_short_names_and_cuts_long_ones() -> None:
    drawn = heat_map(
        ["pune"], ["members-only", "a-very-long-name-of-a-banner"], [[(0.5, "50 %"), (None, "–")]], "Rates"
    )
    assert ">members-only<" in drawn and ">a-very-long-…<" in drawn and "<title>a-very-long-name-of-a-banner" in drawn

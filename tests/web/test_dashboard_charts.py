"""Details of the dashboard's charts that no page shows by itself."""

import pytest

from web.dashboard_charts import HUES, TICKS, heat_map, interval_bar, round_ticks, same_hues


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


def test_an_interval_that_goes_on_beyond_the_scale_ends_in_an_arrow_and_not_in_its_middle() -> None:
    inside, beyond, far = (interval_bar(0.1, middle, high, -1, 2, "Lift") for middle, high in ((1, 2), (1, 3), (4, 5)))
    assert ("<circle" in inside, 'z"' in inside) == (True, False)
    assert ("<circle" in beyond, 'z"' in beyond) == (True, True)
    assert ("<circle" in far, 'z"' in far) == (False, True)


def test_series_have_the_colours_of_another_chart_and_each_its_own() -> None:
    drawn = [f"b{number}" for number in range(HUES)]
    assert same_hues(["b3", "b0"], drawn) == {"b3": 3, "b0": 0}
    assert same_hues(["gone", "b1", "b0"], ["b0", "b1"]) == {"gone": 9, "b1": 1, "b0": 0}
    found = same_hues(["gone", *drawn[2:], "other banners"], drawn)
    assert sorted(found.values()) == list(range(HUES)) and found["b2"] == 2

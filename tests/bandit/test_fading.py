import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.fading import fade


def test_todays_counts_weigh_one() -> None:
    assert fade(0, 14.0, 90) == 1.0
    assert fade(0, None, 90) == 1.0


def test_counts_lose_half_their_weight_each_half_life() -> None:
    assert fade(14, 14.0, 90) == pytest.approx(0.5)
    assert fade(28, 14.0, 90) == pytest.approx(0.25)


def test_without_a_half_life_every_day_of_the_lookback_counts_in_full() -> None:
    assert [fade(age, None, 90) for age in (0, 1, 89, 90, 91)] == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_counts_older_than_the_lookback_weigh_nothing() -> None:
    assert fade(90, 14.0, 90) > 0
    assert fade(91, 14.0, 90) == 0.0


def test_a_day_ahead_of_the_readers_clock_counts_as_today() -> None:
    assert fade(-1, 14.0, 90) == 1.0


def test_a_half_life_of_moments_leaves_only_today() -> None:
    assert fade(0, 1e-300, 90) == 1.0
    assert fade(90, 1e-300, 90) == 0.0


@given(st.integers(-2, 400), st.none() | st.floats(0.1, 1000), st.integers(0, 365))
def test_a_day_weighs_between_nothing_and_one_and_never_more_than_the_day_after(
    age: int, half_life: float | None, lookback: int
) -> None:
    assert 0 <= fade(age + 1, half_life, lookback) <= fade(age, half_life, lookback) <= 1

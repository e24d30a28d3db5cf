import random

import pytest

from bandit.usual import THRESHOLD, alarm, deviation


def test_a_rate_that_doubled_is_an_alarm_and_one_that_stayed_is_none() -> None:
    assert "usually 2.00%" in str(alarm(80, 2_000, 2_000, 100_000))
    assert alarm(42, 2_000, 2_000, 100_000) is None


def test_a_rate_that_fell_to_nothing_is_an_alarm() -> None:
    assert "-" in str(alarm(0, 2_000, 2_000, 100_000))


@pytest.mark.parametrize("counts", [(50, 100, 2_000, 100_000), (50, 2_000, 2, 100)])
def test_of_few_impressions_nothing_is_said(counts: tuple[int, int, int, int]) -> None:
    assert alarm(*counts) is None


def test_without_any_click_nothing_deviates() -> None:
    assert deviation(0, 1_000, 0, 1_000) == 0.0


def test_a_rate_that_did_not_change_raises_hardly_any_alarm() -> None:
    # 2,000 windows at 1 in 15,000: four alarms or more have a probability below 0.00002.
    rng = random.Random(4)
    clicks = [sum(rng.random() < 0.05 for _ in range(400)) for _ in range(2_000)]
    found = [deviation(each, 400, 5_000, 100_000) for each in clicks]
    assert sum(one is not None and abs(one) > THRESHOLD for one in found) < 4

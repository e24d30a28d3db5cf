"""Counting in thousands of small worlds where everything goes wrong; every seed is fixed, so nothing here is left to
chance. Without one of its rules it has to fail there: a world that a broken way survives proves nothing."""

import random

import pytest

from tests.bandit.counting_log import expected, random_log
from tests.bandit.counting_variants import BROKEN, CORRECT, Variant

WORLDS = 2_000
WORLDS_OF_A_VARIANT = range(WORLDS - 60, WORLDS)


def test_no_schedule_of_faults_makes_a_count_wrong() -> None:
    assert [seed for seed in range(WORLDS) if CORRECT.is_wrong(seed)] == []


@pytest.mark.parametrize("variant", BROKEN, ids=lambda variant: variant.name)
def test_counting_without_one_of_its_rules_is_wrong(variant: Variant) -> None:
    wrong = sum(variant.is_wrong(seed) for seed in WORLDS_OF_A_VARIANT)
    assert wrong / len(WORLDS_OF_A_VARIANT) >= variant.least_wrong


def test_the_logs_of_these_worlds_hold_what_can_go_wrong() -> None:
    for seed in range(20):
        log = random_log(random.Random(seed))
        stamps = [(event.journal, event.sequence) for _, event in log]
        assert len(set(stamps)) < len(stamps), "records come again"
        assert expected(log).cells, "something counts"
    every = [expected(random_log(random.Random(seed))) for seed in range(20)]
    assert any(one.clicks for one in every) and any(one.cities for one in every)
    assert any("_other" in key for one in every for key in one.by_referrer)

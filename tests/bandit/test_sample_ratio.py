"""The sample-ratio check, on draws of which the truth is known."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.model import Banner, SampledRow, Slot
from bandit.posterior import Array
from bandit.sample_ratio import Ratio, check, least_share
from bandit.shares import apply

BANNERS, CITIES, EXPLORATION = 6, 10, 0.005
NAMES = " ".join(f"b{number}" for number in range(BANNERS))


def slot(exploration: float) -> Slot:
    return Slot("home", exploration_share=exploration)


def banner(name: str, floor: float, ceiling: float) -> Banner:
    return Banner("home", name, "/p.png", "https://x.example/", min_share=floor, max_share=ceiling)


def drawn(
    seed: int, decisions: int, *, logged: float = 1.0, lost: float = 0.0, exploration: float = EXPLORATION
) -> list[Ratio]:
    """Ten cities that each have probabilities of their own; b0's are logged `logged` times too large, and a share of
    its impressions is lost."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(CITIES):
        chances: Array = exploration / BANNERS + (1 - exploration) * rng.dirichlet(np.full(BANNERS, 0.3))
        shown = rng.multinomial(decisions // CITIES, chances)
        shown[0] = rng.binomial(shown[0], 1 - lost)
        written = chances * np.where(np.arange(BANNERS) == 0, logged, 1)
        rows += [
            SampledRow(1, NAMES, f"b{number}", int(times), times / p, times / p**2, 1 / p)
            for number, (times, p) in enumerate(zip(shown, written, strict=True))
            if times
        ]
    return check(rows, slot(exploration), [])


def test_draws_from_the_logged_probabilities_raise_no_alarm() -> None:
    # 300 slots x 6 banners at one in 10,000 each; the bound is a cautious one, none is expected.
    assert not any(ratio.alarm for seed in range(300) for ratio in drawn(seed, 20_000))


@pytest.mark.parametrize("decisions", [1_000, 1_000_000])
def test_ratios_are_1_but_for_chance(decisions: int) -> None:
    for ratio in drawn(1, decisions):
        assert ratio.ratio == pytest.approx(1, abs=ratio.tolerance)
        assert ratio.decisions == decisions


def test_a_propensity_that_was_not_used_raises_an_alarm_for_that_banner() -> None:
    alarms = [ratio.banner for ratio in drawn(2, 1_000_000, logged=1.5) if ratio.alarm]
    assert alarms == ["b0"]


def test_lost_impressions_of_a_banner_raise_an_alarm() -> None:
    assert any(ratio.alarm for ratio in drawn(3, 2_000_000, lost=0.2))


def test_a_banner_that_was_never_drawn_raises_an_alarm_once_chance_cannot_explain_it() -> None:
    def rows(decisions: int) -> list[SampledRow]:
        return [SampledRow(1, "a b", "a", decisions, decisions / 0.9, decisions / 0.81, 1 / 0.9)]

    assert [ratio.alarm for ratio in check(rows(100), slot(0.2), [])] == [False, False]
    never = check(rows(100_000), slot(0.2), [])[1]
    assert (never.banner, never.drawn, never.ratio, never.alarm) == ("b", 0, 0.0, True)


def test_a_banner_that_a_floor_or_a_ceiling_makes_rare_raises_no_alarm_while_it_was_not_drawn() -> None:
    rows = [SampledRow(1, "a b", "a", 20_000, 20_000.0, 20_000.0, 1.0)]
    assert check(rows, slot(0.005), [])[1].alarm
    for floor_of_a, ceiling_of_b in ((0.95, 1.0), (0.0, 1e-4), (1.0, 1.0)):
        banners = [banner("a", floor_of_a, 1.0), banner("b", 0.0, ceiling_of_b)]
        assert not any(ratio.alarm for ratio in check(rows, slot(0.005), banners))


@given(st.integers(1, 8), st.floats(0.001, 1.0), st.randoms(use_true_random=False))
def test_no_banner_is_served_more_rarely_than_the_check_supposes(count: int, exploration: float, rng: Random) -> None:
    learned = np.array([rng.random() ** 4 for _ in range(count)]) + 1e-12
    floors = [rng.choice((0.0, 0.9 * rng.random() / count)) for _ in range(count)]
    ceilings = [rng.choice((1.0, 0.0 if floor == 0 else 1.0, max(floor, rng.random() ** 3))) for floor in floors]
    served = apply(learned / learned.sum(), exploration_share=exploration, min_shares=floors, max_shares=ceilings)
    banners = [banner(f"b{number}", *each) for number, each in enumerate(zip(floors, ceilings, strict=True))]
    competing = int(np.count_nonzero(served))
    assert served[served > 0].min() >= least_share(slot(exploration), banners, competing) * (1 - 1e-9)


def test_without_exploration_the_log_cannot_tell_a_rare_banner_from_a_lost_one() -> None:
    rows = [SampledRow(1, "a b", "a", 100_000, 100_000.0, 100_000.0, 1.0)]
    assert not any(ratio.alarm for ratio in check(rows, slot(0.0), []))


def test_each_decision_counts_for_the_banners_it_was_made_among() -> None:
    rows = [SampledRow(1, "a b", "a", 10, 20.0, 40.0, 2.0), SampledRow(2, "b", "b", 5, 5.0, 5.0, 1.0)]
    assert [(ratio.banner, ratio.decisions, ratio.drawn, ratio.inverse) for ratio in check(rows, slot(0.01), [])] == [
        ("b", 15, 5, 5.0),
        ("a", 10, 10, 20.0),
    ]


def test_a_banner_only_the_holdout_may_draw_has_no_ratio() -> None:
    assert [ratio.banner for ratio in check([SampledRow(1, "a", "b", 10, 20.0, 40.0, 2.0)], slot(0.01), [])] == ["a"]
    assert check([], slot(0.01), []) == []

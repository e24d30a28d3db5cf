"""The stop rule: what it calls a winner, a leader and a tie, and that it takes it back."""

import numpy as np
import pytest

from bandit.model import CountRow, Trial
from bandit.posterior import fit, posterior_draws
from bandit.standing import Standing, State, slot_draws, standing

DAY = 20_000
CITIES = ("pune", "mumbai", "delhi")


def rows(trials: int, *clicks: int, day: int = DAY, cities: tuple[str, ...] = CITIES) -> list[CountRow]:
    """In each city each banner has as many trials, and these clicks."""
    return [
        CountRow(day, "learned", city, f"b{number}", trials, trials, clicked)
        for city in cities
        for number, clicked in enumerate(clicks)
    ]


def judged(counted: list[CountRow], *, half_life_days: float | None = None, **weights: float) -> Standing:
    names = weights or dict.fromkeys(sorted({row.banner for row in counted}), 1.0)
    return standing(
        counted, trial=Trial.SERVED, today=DAY, half_life_days=half_life_days, lookback_days=90, weights=names
    )


def test_without_evidence_it_explores() -> None:
    found = judged([], b0=1.0, b1=1.0, b2=1.0)
    assert (found.state, found.ahead, found.value_remaining) == (State.EXPLORING, (), None)
    # 2,000 draws: 1/3 by 5 standard deviations.
    assert [one.p_best for one in found.banners] == pytest.approx([1 / 3] * 3, abs=0.053)


def test_a_slot_without_banners_that_compete_has_nothing_to_say() -> None:
    assert standing(rows(10, 1), trial=Trial.SERVED, today=DAY, half_life_days=None, lookback_days=90, weights={}) == (
        State.EXPLORING, (), (), None,
    )  # fmt: skip


def test_a_banner_that_is_clearly_better_wins() -> None:
    found = judged(rows(5000, 150, 160, 250))
    assert (found.state, found.ahead, found.value_remaining) == (State.WINNER, ("b2",), 0.0)
    assert [one.banner for one in found.banners] == ["b2", "b1", "b0"]
    # Three cities of 5,000 trials each: 0.05 by five standard errors.
    assert found.banners[0].value_per_trial == pytest.approx(0.05, abs=0.009)
    assert found.banners[0].expected_loss == pytest.approx(0, abs=1e-4)
    assert found.banners[2].expected_loss == pytest.approx(0.02, abs=0.01)


def test_a_banner_that_is_probably_better_leads() -> None:
    found = judged(rows(1000, 30, 36))
    assert (found.state, found.ahead) == (State.LEADER, ("b1",))
    assert 0.8 <= found.banners[0].p_best < 0.95 and (found.value_remaining or 0) > 0.01


def test_banners_between_which_it_makes_no_difference_tie() -> None:
    found = judged(rows(3_000_000, 90_000, 90_010, 60_000))
    assert found.state is State.TIE
    assert set(found.ahead) == {"b0", "b1"}


def test_value_decides_not_clicks() -> None:
    assert judged(rows(5000, 150, 250), b0=3.0, b1=1.0).ahead == ("b0",)


def test_a_paused_banner_is_out_of_the_race() -> None:
    found = judged(rows(5000, 150, 160, 250), b0=1.0, b1=1.0)
    assert [one.banner for one in found.banners] == ["b1", "b0"]
    assert found.state is State.LEADER


def test_a_winner_is_revoked_when_newer_evidence_says_otherwise() -> None:
    before = rows(5000, 150, 250, day=DAY - 28)
    assert judged(before, half_life_days=7).ahead == ("b1",)
    after = judged([*before, *rows(500, 24, 16)], half_life_days=7)
    assert after.state is State.EXPLORING
    assert judged([*before, *rows(5000, 250, 150)], half_life_days=7).ahead == ("b0",)


def test_a_winner_that_is_forgotten_is_none() -> None:
    old = rows(5000, 150, 250, day=DAY - 91)
    assert judged(old).state is State.EXPLORING


def test_cities_count_by_their_traffic_whatever_they_were_shown() -> None:
    # b1 is better in both cities, but was shown mostly where nobody clicks.
    counts = {("keen", "b0"): (9000, 900), ("keen", "b1"): (1000, 130)}
    counts |= {("cold", "b0"): (1000, 8), ("cold", "b1"): (9000, 180)}
    counted = [CountRow(DAY, "learned", *cell, tried, tried, clicked) for cell, (tried, clicked) in counts.items()]
    assert judged(counted).ahead == ("b1",)


def test_the_same_evidence_always_has_the_same_standing() -> None:
    counted = rows(1000, 30, 36, 33)
    assert judged(counted) == judged(counted)


def test_many_small_cities_are_looked_at_together() -> None:
    many = tuple(f"c{number}" for number in range(200))
    found = judged(rows(100, 3, 6, cities=many))
    assert found.ahead == ("b1",)
    assert found.banners[0].trials == 20_000


def test_rates_of_a_slot_with_one_city_are_those_of_that_city() -> None:
    posterior = fit([[2000.0, 300.0]], [[60.0, 12.0]])
    of_slot = slot_draws(posterior, np.ones(1), np.random.default_rng(1), 40_000)
    of_city = posterior_draws(posterior, 0, np.random.default_rng(2), 40_000)
    for part in (0.05, 0.5, 0.95):
        # Quantiles of 40,000 draws are known to about 1 %; four times that.
        assert np.quantile(of_slot, part, axis=0) == pytest.approx(np.quantile(of_city, part, axis=0), rel=0.04)


def test_banners_that_are_equal_are_seldom_called_different() -> None:
    # 60 worlds of equal banners, looked at 20 times each while uniform choice goes on. A rule that were right at every
    # single look with 95 % would call far more than one world in ten.
    called = 0
    for seed in range(60):
        rng = np.random.default_rng([11, seed])
        clicks = rng.binomial(200, 0.03, (20, 3, 4)).cumsum(axis=0)
        for look in range(20):
            trials = 200 * (look + 1)
            counted = [
                CountRow(DAY, "holdout", CITIES[city], f"b{banner}", trials, trials, int(clicked))
                for (city, banner), clicked in np.ndenumerate(clicks[look])
            ]
            if judged(counted).state is State.WINNER:
                called += 1
                break
    assert called <= 6


def test_a_planted_best_banner_is_found() -> None:
    found = 0
    for seed in range(20):
        rng = np.random.default_rng([12, seed])
        counted: list[CountRow] = []
        for city in CITIES:
            counted += [
                CountRow(DAY, "learned", city, f"b{number}", 4000, 4000, int(rng.binomial(4000, rate)))
                for number, rate in enumerate((0.03, 0.03, 0.045))
            ]
        found += judged(counted).ahead == ("b2",)
    assert found == 20


def test_without_any_click_and_with_very_many_trials_nothing_breaks() -> None:
    found = judged(rows(10_000_000, *[0] * 8))
    assert sum(one.p_best for one in found.banners) == pytest.approx(1)
    assert np.isfinite([value for one in found.banners for value in one[1:]]).all()

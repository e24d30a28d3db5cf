import json
from math import sqrt

import numpy as np
import pytest

from bandit.model import CountRow, ReferrerRow, Trial
from bandit.posterior import fit
from bandit.reports import (
    Belief,
    Group,
    click_rate_interval,
    columns,
    record,
    report,
    select,
)
from bandit.shares import apply
from bandit.thompson import probabilities

BELIEF = Belief(0.9, 0.03, 0.02, 0.04, 500.0)
Z = 1.959963984540054
DAY = 20_000  # 2024-10-04

ROWS = [
    CountRow(DAY, "learned", "Mumbai", "sale", 1000, 600, 30),
    CountRow(DAY, "learned", "Delhi", "sale", 500, 300, 10),
    CountRow(DAY, "holdout", "Mumbai", "new", 100, 60, 2),
    CountRow(DAY - 1, "learned", "Mumbai", "new", 400, 200, 8),
]


def counts(policy: str, trials: int, clicks: int, banner: str = "sale", day: int = DAY) -> CountRow:
    return CountRow(day, policy, "Mumbai", banner, trials, trials, clicks)


def test_a_report_by_banner_sums_over_days_policies_and_cities() -> None:
    sale, new = report(ROWS, Group.BANNER, trial=Trial.SERVED)
    assert sale[:5] == ("sale", 1500, 900, 40, 1500)
    assert new[:5] == ("new", 500, 260, 10, 500)
    assert (sale.ctr, sale.share, new.share) == (40 / 1500, 0.75, 0.25)


@pytest.mark.parametrize(
    ("group", "keys"),
    [
        (Group.CITY, ["Mumbai", "Delhi"]),
        (Group.POLICY, ["learned", "holdout"]),
        (Group.DAY, ["2024-10-03", "2024-10-04"]),
    ],
)
def test_days_come_in_order_and_other_groups_by_most_trials(group: Group, keys: list[str]) -> None:
    rows = report(ROWS, group, trial=Trial.SERVED)
    assert [row.key for row in rows] == keys
    assert sum(row.served for row in rows) == 2000
    assert sum(row.share or 0 for row in rows) == pytest.approx(1)


def test_referrers_are_reported_from_their_own_counts() -> None:
    rows = [ReferrerRow(DAY, "news", "sale", 50, 40, 2), ReferrerRow(DAY, "mail", "sale", 90, 70, 3)]
    assert [row[:4] for row in report(rows, Group.REFERRER, trial=Trial.SERVED)] == [
        ("mail", 90, 70, 3),
        ("news", 50, 40, 2),
    ]


def test_a_slot_that_counts_views_as_trials_is_measured_by_views() -> None:
    sale, _ = report(ROWS, Group.BANNER, trial=Trial.VIEWED)
    assert (sale.trials, sale.ctr) == (900, 40 / 900)


@pytest.mark.parametrize("group", [group for group in Group if group in CountRow._fields])
def test_value_counts_each_click_by_what_one_on_its_banner_is_worth(group: Group) -> None:
    rows = report(ROWS, group, trial=Trial.SERVED, weights={"sale": 2.5})
    # A banner without a weight, removed since, is worth 1.
    assert sum(row.value for row in rows) == 2.5 * 40 + 10
    assert all(row.value_per_trial == row.value / row.trials for row in rows)


def test_rows_can_be_narrowed_to_a_banner_a_city_and_a_policy() -> None:
    assert select(ROWS) == ROWS
    assert select(ROWS, city="Mumbai", policy="learned") == [ROWS[0], ROWS[3]]
    assert select(ROWS, banner="new") == ROWS[2:]
    assert select(ROWS, banner="gone") == []


def test_clicks_counted_before_their_impressions_do_not_show() -> None:
    (row,) = report([CountRow(DAY, "learned", "Pune", "sale", 3, 5, 4)], Group.BANNER, trial=Trial.SERVED)
    assert (row.served, row.viewed, row.clicks) == (3, 3, 3)
    (row,) = report([CountRow(DAY, "learned", "Pune", "sale", 3, 1, 2)], Group.BANNER, trial=Trial.VIEWED)
    assert (row.served, row.viewed, row.clicks) == (3, 1, 1)


def test_a_banner_without_trials_has_no_click_rate_and_an_open_interval() -> None:
    (row,) = report([], Group.BANNER, trial=Trial.SERVED, beliefs={"sale": BELIEF})
    assert row == ("sale", 0, 0, 0, 0, None, 0.0, 1.0, None, 0.0, None, *BELIEF)
    assert report([], Group.CITY, trial=Trial.SERVED) == []


def test_only_a_report_by_banner_says_what_is_believed_of_each() -> None:
    assert columns(Group.BANNER)[0] == "banner"
    assert columns(Group.BANNER)[-5:] == Belief._fields
    assert columns(Group.DAY) == (
        "day", "served", "viewed", "clicks", "trials", "ctr", "ctr_low", "ctr_high", "share", "value",
        "value_per_trial",
    )  # fmt: skip


def test_a_record_carries_its_columns_and_survives_json() -> None:
    rows = report(ROWS, Group.BANNER, trial=Trial.SERVED, beliefs={"sale": BELIEF})
    records = [record(Group.BANNER, row) for row in rows]
    assert json.loads(json.dumps(records)) == records
    assert [(each["banner"], each["p_best"]) for each in records] == [("sale", 0.9), ("new", None)]
    (day, _) = report(ROWS, Group.DAY, trial=Trial.SERVED)
    assert tuple(record(Group.DAY, day)) == columns(Group.DAY)


@pytest.mark.parametrize(("clicks", "trials"), [(1, 10), (30, 1000), (9, 10), (300_000, 10_000_000)])
def test_both_ends_of_the_interval_are_1_96_of_their_own_deviations_away(clicks: int, trials: int) -> None:
    rate = clicks / trials
    for end in click_rate_interval(clicks, trials):
        assert abs(rate - end) == pytest.approx(Z * sqrt(end * (1 - end) / trials), rel=1e-6)


def test_intervals_stay_within_nothing_and_everything() -> None:
    assert click_rate_interval(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert click_rate_interval(10, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)
    assert click_rate_interval(0, 0) == (0.0, 1.0)


def learn(cities: int, impressions: int, rates: np.ndarray, rng: np.random.Generator) -> list[CountRow]:
    """Counts of cities that each choose for themselves, refreshed every 100 impressions."""
    banners, exploration = rates.size, 0.005
    trials, clicks = np.zeros((2, cities, banners), dtype=int)
    for _ in range(impressions // (100 * cities)):
        posterior = fit(trials, clicks)
        for city in range(cities):
            served = apply(
                probabilities(posterior, city, rng),
                exploration_share=exploration,
                min_shares=np.zeros(banners),
                max_shares=np.ones(banners),
            )
            shown = rng.multinomial(100, served)
            trials[city] += shown
            clicks[city] += rng.binomial(shown, rates)
    return [
        CountRow(DAY, "learned", f"c{city}", f"b{banner}", shown, shown, int(clicks[city, banner]))
        for (city, banner), shown in zip(np.ndindex(cities, banners), trials.ravel().tolist(), strict=True)
    ]


def test_the_true_rates_are_read_back_without_bias_after_100000_impressions() -> None:
    rates = np.array([0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05, 0.09])
    rows = report(learn(20, 100_000, rates, np.random.default_rng(6)), Group.BANNER, trial=Trial.SERVED)
    assert sum(row.trials for row in rows) == 100_000
    # Clicks less rate x trials is a martingale whatever the choices were, hence of mean 0; over 20 cities it is nearly
    # normal. Four standard deviations, ten banners: fails by chance with about one seed in 1,000.
    for row in rows:
        rate = rates[int(row.key[1:])]
        assert abs(row.clicks - rate * row.trials) < 4 * sqrt(rate * (1 - rate) * row.trials), row
    assert rows[0].key == "b9"

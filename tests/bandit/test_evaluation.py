"""What a log says of another policy, against worlds in which the truth is known."""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import NamedTuple

import numpy as np
import pytest

from bandit.evaluation import Estimate, Evaluation, Log, PoorOverlap, effective_decisions, evaluate
from bandit.posterior import Array
from bandit.target_policies import fixed, like, thompson, uniform

CONTEXTS, BANNERS, DECISIONS, LOGS = 4, 5, 1500, 1000
TRAFFIC = np.array([0.4, 0.3, 0.2, 0.1])


class World(NamedTuple):
    """Click rates, and the policies that a log was made with and that it is asked about; (contexts, banners) each."""

    rates: Array
    logging: Array
    target: Array

    def log(self, rng: np.random.Generator, decisions: int = DECISIONS) -> Log:
        context = rng.choice(CONTEXTS, decisions, p=TRAFFIC)
        banner = (rng.random((decisions, 1)) > self.logging[context].cumsum(axis=1)).sum(axis=1).clip(0, BANNERS - 1)
        reward = (rng.random(decisions) < self.rates[context, banner]).astype(float)
        propensity = self.logging[context, banner]
        eligible = np.ones((CONTEXTS, BANNERS), dtype=bool)
        return Log(tuple("abcde"), tuple("wxyz"), context, banner, reward, propensity, np.arange(CONTEXTS), eligible)

    def value(self, policy: Array) -> float:
        return float(TRAFFIC @ (policy * self.rates).sum(axis=1))


def softmax(scores: Array) -> Array:
    weights = np.exp(scores)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(1)
    logits = rng.normal(-2.2, 0.4, (1, BANNERS)) + rng.normal(0, 0.4, (CONTEXTS, BANNERS))
    logging = 0.2 / BANNERS + 0.8 * softmax(rng.normal(0, 1, (CONTEXTS, BANNERS)))
    return World(1 / (1 + np.exp(-logits)), logging, softmax(rng.normal(0, 1, (CONTEXTS, BANNERS))))


@pytest.fixture(scope="module")
def evaluations(world: World) -> list[Evaluation]:
    def each() -> Iterator[Evaluation]:
        for number in range(LOGS):
            rng = np.random.default_rng([7, number])
            yield evaluate(world.log(rng), world.target, rng, resamples=300)

    return list(each())


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["ips", "snips", "dr"])
def test_intervals_hold_the_true_value_as_often_as_they_promise(
    evaluations: list[Evaluation], world: World, estimator: str
) -> None:
    # At 95 % the share of 1,000 logs has a standard deviation of 0.7 points; the seeds are fixed.
    truth = world.value(world.target)
    estimates: list[Estimate] = [getattr(each, estimator) for each in evaluations]
    assert 0.93 <= np.mean([each.low <= truth <= each.high for each in estimates]) <= 0.97
    # The mean of 1,000 estimates has a standard deviation of 0.01 / sqrt(1,000): five of them.
    assert np.mean([each.value for each in estimates]) == pytest.approx(truth, abs=5 * 0.012 / sqrt(LOGS))


@pytest.mark.slow
def test_the_doubly_robust_interval_is_not_wider_than_that_of_ips(evaluations: list[Evaluation]) -> None:
    def width(estimator: str) -> float:
        estimates: list[Estimate] = [getattr(each, estimator) for each in evaluations]
        return float(np.mean([each.high - each.low for each in estimates]))

    assert width("dr") <= width("ips")


def test_the_logs_own_policy_is_worth_what_the_log_earned(world: World) -> None:
    log = world.log(np.random.default_rng(2))
    found = evaluate(log, world.logging, np.random.default_rng(3))
    assert found.ips.value == found.snips.value == found.logged.value == log.reward.mean()
    assert found.replay is not None and found.replay.value == log.reward.mean()
    assert (found.effective_decisions, found.mean_weight) == (DECISIONS, 1.0)


def test_the_same_seed_gives_the_same_figures(world: World) -> None:
    log = world.log(np.random.default_rng(2))
    assert evaluate(log, world.target, np.random.default_rng(3)) == evaluate(
        log, world.target, np.random.default_rng(3)
    )


def test_a_long_log_is_resampled_in_blocks_with_the_same_result(world: World) -> None:
    log = world.log(np.random.default_rng(4), 200_000)
    found, truth = evaluate(log, world.target, np.random.default_rng(5)), world.value(world.target)
    for estimate in (found.replay, found.ips, found.snips, found.dr):
        assert estimate is not None and estimate.low <= truth <= estimate.high
        assert estimate.high - estimate.low < 0.01


def test_replay_of_a_fixed_banner_on_a_uniform_log_is_that_banners_mean(world: World) -> None:
    everyone = np.full((CONTEXTS, BANNERS), 1 / BANNERS)
    log = world._replace(logging=everyone).log(np.random.default_rng(6))
    found = evaluate(log, fixed(log, 2), np.random.default_rng(7))
    assert found.replay is not None
    assert found.replay.value == pytest.approx(log.reward[log.banner == 2].mean()) == found.snips.value


def test_rewards_that_are_no_clicks_are_evaluated_too(world: World) -> None:
    log = world.log(np.random.default_rng(8))
    dearer = replace(log, reward=12.5 * log.reward)
    found = evaluate(dearer, world.target, np.random.default_rng(9))
    assert found.dr.low <= 12.5 * world.value(world.target) <= found.dr.high


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_log_without_any_or_with_only_clicks_has_an_answer(world: World, reward: float) -> None:
    certain = world._replace(rates=np.full((CONTEXTS, BANNERS), reward))
    found = evaluate(certain.log(np.random.default_rng(10)), world.target, np.random.default_rng(11))
    assert found.dr == pytest.approx((reward, reward, reward))


# -- refusals --------------------------------------------------------------------------------------------------------


def test_a_policy_that_shows_what_the_log_never_did_is_refused(world: World) -> None:
    never = world.logging.copy()
    never[:, 3] = 0
    log = world._replace(logging=never / never.sum(axis=1, keepdims=True)).log(np.random.default_rng(12))
    with pytest.raises(PoorOverlap, match=r"have no example in the log, such as of d"):
        evaluate(log, world.target, np.random.default_rng(13))


def test_a_banner_that_was_not_eligible_everywhere_is_no_policy_for_everybody(world: World) -> None:
    log = world.log(np.random.default_rng(14))
    log.eligible[1, 4] = False
    with pytest.raises(PoorOverlap, match=r"30\.\d% of its choices|29\.\d% of its choices|3[12]\.\d% of its choices"):
        evaluate(log, fixed(log, 4), np.random.default_rng(15))


def test_a_policy_the_log_hardly_ever_followed_is_refused_with_what_it_is_worth(world: World) -> None:
    rare = np.full((CONTEXTS, BANNERS), 0.005)
    rare[:, 0] = 0.98
    log = world._replace(logging=rare).log(np.random.default_rng(16))
    with pytest.raises(PoorOverlap, match=r"1,500 decisions are worth"):
        evaluate(log, uniform(log), np.random.default_rng(17))


def test_propensities_that_were_not_used_are_noticed(world: World) -> None:
    log = world.log(np.random.default_rng(18))
    log.propensity[:] = 1 / BANNERS
    with pytest.raises(PoorOverlap, match=r"average .* instead of 1"):
        evaluate(log, world.logging, np.random.default_rng(19))


def test_a_log_of_a_few_decisions_is_refused(world: World) -> None:
    with pytest.raises(PoorOverlap, match="99 decisions"):
        evaluate(world.log(np.random.default_rng(20), 99), world.target, np.random.default_rng(21))


def test_the_effective_number_of_decisions_is_kishs() -> None:
    assert effective_decisions(np.ones(7)) == 7
    assert effective_decisions(np.array([3.0, 1.0])) == pytest.approx(1.6)
    assert effective_decisions(np.zeros(3)) == 0


# -- policies --------------------------------------------------------------------------------------------------------


def test_uniform_is_so_among_those_that_may_be_shown(world: World) -> None:
    log = world.log(np.random.default_rng(22))
    log.eligible[2, 3:] = False
    assert uniform(log)[2].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0])
    assert uniform(log)[0].tolist() == pytest.approx([0.2] * 5)


def test_another_logs_shares_are_those_of_each_context(world: World) -> None:
    log, other = world.log(np.random.default_rng(23)), world.log(np.random.default_rng(24), 40_000)
    # Five standard deviations of the rarest context's 4,000 decisions.
    assert like(log, other) == pytest.approx(world.logging, abs=5 * 0.5 / sqrt(4000))


def test_the_learner_knows_nothing_at_first_and_then_prefers_what_was_clicked(world: World) -> None:
    clear = world._replace(rates=np.tile([0.02, 0.02, 0.02, 0.02, 0.3], (CONTEXTS, 1)))
    log = clear.log(np.random.default_rng(25), 4000).in_chunks(4)
    policy = thompson(log, 4, np.random.default_rng(26))
    assert policy.sum(axis=1) == pytest.approx(1)
    # 1,000 draws a context: 0.2 by 5 standard deviations.
    assert policy[:CONTEXTS] == pytest.approx(0.2, abs=5 * 0.0127)
    assert (policy[-CONTEXTS:, 4] > 0.9).all()
    assert (
        evaluate(log, policy, np.random.default_rng(27)).dr.value
        > 2 * evaluate(log, uniform(log), np.random.default_rng(27)).dr.value
    )


def test_what_the_learner_chooses_depends_only_on_what_came_before(world: World) -> None:
    log = world.log(np.random.default_rng(28), 4000).in_chunks(4)
    before = thompson(log, 4, np.random.default_rng(29))
    log.reward[3000:] = 1 - log.reward[3000:]
    assert (thompson(log, 4, np.random.default_rng(29)) == before).all()

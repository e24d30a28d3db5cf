"""Logs of the learner's choices, asked what uniform choice would have earned: do the intervals hold the truth?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bandit.evaluation import Estimate, Evaluation, Log, evaluate
from bandit.posterior import fit
from bandit.thompson import probabilities
from benchmarks.regret.policies import OURS
from benchmarks.regret.simulation import Terms, simulate
from benchmarks.regret.study import Array, Outcome, Report, Size
from benchmarks.regret.world import Shape, World, draw_world
from benchmarks.results import Result

LOGS = 50
"""Of each seed's world."""
DECISIONS = 10_000
TAUGHT = Terms(20_000)
"""What the learner has seen before its choices are logged."""
EXPLORATION_SHARE = 0.2
"""A slot that is to be evaluated explores more than one that is not."""
RESAMPLES = 300
LEVEL = 0.95
ESTIMATORS = {"ips": "IPS", "snips": "SNIPS", "dr": "DR"}


class _Found(NamedTuple):
    evaluation: Evaluation
    truth: float

    def holds(self, estimator: str) -> bool:
        estimate: Estimate = getattr(self.evaluation, estimator)
        return estimate.low <= self.truth <= estimate.high

    def width(self, estimator: str) -> float:
        estimate: Estimate = getattr(self.evaluation, estimator)
        return estimate.high - estimate.low


def off_policy(size: Size, report: Report) -> Outcome:
    """How often 95 % intervals hold what the other policy really earns, and whether the reward model narrows them."""
    found = [one for seed in range(size.seeds) for one in _of_seed(seed, report)]
    results = []
    for estimator, name in ESTIMATORS.items():
        share = float(np.mean([one.holds(estimator) for one in found]))
        detail, apart = f"{share:.3f} of {len(found):,} logs", size.apart(0.02, 0.06)
        results.append(Result(f"coverage of {name}, off 0.95 by", abs(share - LEVEL), apart, False, "", detail))
    dr, ips = (float(np.mean([one.width(estimator) for one in found])) for estimator in ("dr", "ips"))
    detail = f"{dr:.5f} against {ips:.5f}"
    results.append(Result("width of DR over that of IPS", dr / ips, size.limit(1.0), at_least=False, detail=detail))
    return Outcome([], results, {})


def _of_seed(seed: int, report: Report) -> Iterator[_Found]:
    rng = np.random.default_rng([seed, 700])
    world = draw_world(Shape(0.3, cities=5, banners=6), rng)
    posterior = fit(*simulate(world, OURS, seed, TAUGHT).evidence)
    cities, banners = world.rates.shape
    learned = np.array([probabilities(posterior, city, rng) for city in range(cities)])
    logging = EXPLORATION_SHARE / banners + (1 - EXPLORATION_SHARE) * learned
    target = np.full(world.rates.shape, 1 / banners)
    truth = float(world.traffic @ (target * world.rates).sum(axis=1))
    for number in range(LOGS):
        report("off-policy evaluation")
        rng = np.random.default_rng([seed, 701, number])
        yield _Found(evaluate(_log(world, logging, rng), target, rng, resamples=RESAMPLES), truth)


def _log(world: World, logging: Array, rng: np.random.Generator) -> Log:
    """Decisions of this policy, (cities, banners); a situation is a city."""
    cities, banners = logging.shape
    city = rng.choice(cities, DECISIONS, p=world.traffic)
    passed = rng.random((DECISIONS, 1)) > logging[city].cumsum(axis=1)
    banner = np.minimum(passed.sum(axis=1), banners - 1)
    reward = (rng.random(DECISIONS) < world.rates[city, banner]).astype(np.float64)
    names = [tuple(f"{kind}{number}" for number in range(count)) for kind, count in (("b", banners), ("c", cities))]
    eligible = np.ones(logging.shape, dtype=np.bool_)
    return Log(names[0], names[1], city, banner, reward, logging[city, banner], np.arange(cities), eligible)

"""What another policy would have earned, from a log of choices and the probabilities they were made with.

Four estimators of the mean reward of a target policy: replay by rejection (Li, Chu, Langford and Wang, WSDM 2011, with
acceptance in proportion to the weight, so that the log need not be uniform), inverse propensity scoring (IPS; Horvitz
and Thompson, JASA 47, 1952), its self-normalised form (SNIPS; Swaminathan and Joachims, NeurIPS 2015) and the doubly
robust one (DR; Dudik, Langford and Li, ICML 2011) on a cross-fitted reward model.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.posterior import Array
from bandit.reward_model import expected_rewards

IntArray = NDArray[np.intp]

CONFIDENCE = 0.95
RESAMPLES = 1000
MAX_BLOCKS = 1000
"""A longer log is summed up in so many random blocks before it is resampled; the interval is the same."""
SMALLEST_EFFECTIVE = 100.0
"""Decisions that the weighted log has to be worth: below, an interval promises more than it can keep."""
LARGEST_UNSUPPORTED = 0.01
"""Share of the policy's choices that the log may have no example of."""
LARGEST_WEIGHT_SHARE = 0.1
MEAN_WEIGHT_ERRORS = 5.0


class PoorOverlap(ValueError):
    """The log says too little about the policy; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """n decisions, in order of time. A situation is what may matter for a choice: who may be shown, and to whom."""

    banners: tuple[str, ...]
    contexts: tuple[str, ...]
    situation: IntArray
    """(n,), of each decision."""
    banner: IntArray
    """(n,), the one that was shown."""
    reward: Array
    """(n,)"""
    propensity: Array
    """(n,), the probability with which it was chosen, above 0."""
    context: IntArray
    """(situations,)"""
    eligible: NDArray[np.bool_]
    """(situations, banners): who could be chosen."""

    def in_chunks(self, chunks: int) -> "Log":
        """The same decisions, with situations of their own for each of so many equal parts of the time."""
        part = np.arange(len(self.situation)) * chunks // max(len(self.situation), 1)
        return replace(
            self,
            situation=part * len(self.context) + self.situation,
            context=np.tile(self.context, chunks),
            eligible=np.tile(self.eligible, (chunks, 1)),
        )


class Estimate(NamedTuple):
    """A mean reward per decision and its interval."""

    value: float
    low: float
    high: float


class Evaluation(NamedTuple):
    """What the log says of the policy."""

    logged: Estimate
    """What the log's own policy earned."""
    replay: Estimate | None
    """None where it accepts too few decisions to say anything."""
    ips: Estimate
    snips: Estimate
    dr: Estimate
    decisions: int
    effective_decisions: float
    """What the weighted log is worth: (sum of weights)^2 / sum of squared weights (Kish 1965)."""
    mean_weight: float
    """1 but for chance, where the propensities are those that were used, and all the policy shows could be shown."""


def evaluate(log: Log, policy: Array, rng: np.random.Generator, *, resamples: int = RESAMPLES) -> Evaluation:
    """Estimates with bootstrap intervals. `policy` (situations, banners) are probabilities whose rows sum to 1.

    Raises PoorOverlap.
    """
    weight = policy[log.situation, log.banner] / log.propensity
    effective = _check_overlap(log, policy, weight)
    accepted = (rng.random(len(weight)) * weight.max() < weight).astype(np.float64)
    terms = np.column_stack(
        [
            np.ones(len(weight)),
            log.reward,
            accepted,
            accepted * log.reward,
            weight,
            weight * log.reward,
            _doubly_robust(log, policy, weight, rng),
        ]
    )
    logged, replay, ips, snips, dr = _intervals(terms, rng, resamples)
    known = replay if accepted.sum() >= SMALLEST_EFFECTIVE else None
    return Evaluation(logged, known, ips, snips, dr, len(weight), effective, float(weight.mean()))


def effective_decisions(weight: Array) -> float:
    """Kish's effective sample size of weights (n,); 0 when all are 0."""
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def _check_overlap(log: Log, policy: Array, weight: Array) -> float:
    """The effective decisions, if they are enough."""
    if len(weight) < SMALLEST_EFFECTIVE:
        raise PoorOverlap(f"the log has {len(weight)} decisions; {SMALLEST_EFFECTIVE:.0f} are the least")
    _check_support(log, policy)
    effective = effective_decisions(weight)
    if effective < SMALLEST_EFFECTIVE or weight.max() > LARGEST_WEIGHT_SHARE * weight.sum():
        raise PoorOverlap(
            f"the log's {len(weight):,} decisions are worth {effective:,.1f} of this policy's, and the weightiest "
            f"alone is {weight.max() / max(weight.sum(), 1e-300):.0%} of all; {SMALLEST_EFFECTIVE:.0f}, and at most "
            f"{LARGEST_WEIGHT_SHARE:.0%}, are needed. It mostly shows what the log hardly ever showed"
        )
    error = float(weight.std()) / np.sqrt(len(weight))
    if abs(weight.mean() - 1) > MEAN_WEIGHT_ERRORS * error + 1e-6:
        raise PoorOverlap(
            f"the weights average {weight.mean():.3f} instead of 1: the propensities are not those that were used, or "
            "this policy shows what the log could not"
        )
    return effective


def _check_support(log: Log, policy: Array) -> None:
    frequency = np.bincount(log.situation, minlength=len(log.context)) / len(log.situation)
    mass = frequency @ policy
    never = np.bincount(log.banner, minlength=len(log.banners)) == 0
    missing = float(mass[never].sum()) + float(frequency @ np.where(log.eligible, 0.0, policy).sum(axis=1))
    if missing > LARGEST_UNSUPPORTED:
        example = log.banners[int(np.where(never, mass, 0).argmax())] if never.any() else "one that was not eligible"
        raise PoorOverlap(f"{missing:.1%} of its choices have no example in the log, such as of {example}")


def _doubly_robust(log: Log, policy: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Each decision's term, (n,): what the model expects of the policy, corrected by what the model missed here.

    The model of a decision has not seen it: it is fitted to the other folds.
    """
    model, fold = expected_rewards(
        log.context[log.situation], log.banner, log.reward, (len(log.contexts), len(log.banners)), rng
    )
    expected = (policy * model[:, log.context]).sum(axis=2)
    missed = log.reward - model[fold, log.context[log.situation], log.banner]
    terms: Array = expected[fold, log.situation] + weight * missed
    return terms


def _intervals(terms: Array, rng: np.random.Generator, resamples: int) -> list[Estimate]:
    """Poisson bootstrap of sums, and from them the five estimates."""
    blocks = _blocks(terms, rng)
    sums = rng.poisson(1.0, (resamples, len(blocks))) @ blocks
    values, samples = _estimates(blocks.sum(axis=0)[np.newaxis])[0], _estimates(sums)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(samples, [tail, 1 - tail], axis=0)
    return [Estimate(*map(float, each)) for each in zip(values, low, high, strict=True)]


def _blocks(terms: Array, rng: np.random.Generator) -> Array:
    if len(terms) <= MAX_BLOCKS:
        return terms
    starts = np.arange(MAX_BLOCKS) * len(terms) // MAX_BLOCKS
    blocks: Array = np.add.reduceat(terms[rng.permutation(len(terms))], starts)
    return blocks


def _estimates(sums: Array) -> Array:
    """Logged, replay, IPS, SNIPS and DR, (rows, 5), from sums of the terms, (rows, 7)."""
    count, reward, accepted, accepted_reward, weight, weighted_reward, doubly_robust = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = (
            reward / count,
            accepted_reward / accepted,
            weighted_reward / count,
            weighted_reward / weight,
            doubly_robust / count,
        )
    return np.column_stack(columns)

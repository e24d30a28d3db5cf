"""The policies that a log can be asked about: probabilities (situations, banners) whose rows sum to 1."""

import numpy as np

from bandit.evaluation import Log
from bandit.model import EXPLORATION_SHARE
from bandit.posterior import Array, fit
from bandit.thompson import probabilities

CHUNKS = 10
"""How often, over the time of the log, the learner looks at what it has shown so far."""


def uniform(log: Log) -> Array:
    """All that are eligible, with the same probability."""
    eligible = log.eligible.astype(np.float64)
    shares: Array = eligible / eligible.sum(axis=1, keepdims=True)
    return shares


def fixed(log: Log, banner: int) -> Array:
    """Always this one."""
    policy = np.zeros(log.eligible.shape)
    policy[:, banner] = 1.0
    return policy


def like(log: Log, other: Log) -> Array:
    """The shares that each banner has, context by context, in another log; over all of it in a context it lacks."""
    places = {banner: column for column, banner in enumerate(log.banners)}
    column = np.array([places.get(banner, -1) for banner in other.banners])[other.banner]
    if (column < 0).any():
        raise ValueError(f"the log does not know {other.banners[int(other.banner[column < 0][0])]}")
    pooled = np.bincount(column, minlength=len(log.banners)) / len(column)
    shares = np.tile(pooled, (len(log.contexts), 1))
    of_other = other.context[other.situation]
    for row, context in enumerate(log.contexts):
        here = column[of_other == other.contexts.index(context)] if context in other.contexts else column[:0]
        if here.size:
            shares[row] = np.bincount(here, minlength=len(log.banners)) / here.size
    return shares[log.context]


def thompson(log: Log, chunks: int, rng: np.random.Generator) -> Array:
    """The learner, each context a city of its own, from what the log shows of the time before.

    `log` is `in_chunks(chunks)`. In each chunk it has learned from the decisions of those before it, the first it knows
    nothing; so no decision is judged by what it taught.
    """
    size = len(log.context) // chunks
    policy = np.zeros(log.eligible.shape)
    trials, clicks = np.zeros((2, len(log.contexts), len(log.banners)))
    for start in range(0, len(log.context), size):
        posterior = fit(trials, clicks)
        for situation in range(start, start + size):
            columns = np.flatnonzero(log.eligible[situation])
            learned = probabilities(posterior.only(columns), int(log.context[situation]), rng)
            policy[situation, columns] = EXPLORATION_SHARE / columns.size + (1 - EXPLORATION_SHARE) * learned
        seen = (log.situation >= start) & (log.situation < start + size)
        cell = (log.context[log.situation[seen]], log.banner[seen])
        np.add.at(trials, cell, 1.0)
        np.add.at(clicks, cell, log.reward[seen])
    return policy

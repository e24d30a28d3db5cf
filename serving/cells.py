"""Selection probabilities by slot and visit, kept until there is a reason to compute them again."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate, compress
from sys import intern
from typing import NamedTuple, Protocol

import numpy as np

from bandit.eligibility import Visit, next_change, why_not
from bandit.event import policy_field, rest_field, text
from bandit.model import Banner, Policy, Reason, Slot, Tenant
from bandit.shares import apply, hold_newcomers
from bandit.thompson import CHOICE_GAMMA, cumulative, draw, probabilities
from bandit.zone import moment
from serving.evidence import SlotEvidence
from serving.token import place, policy_number

FOR_EVER_US = 1 << 62
GROWTH = 1.02
"""A cell is stale when the trials of its city, or of the slot it borrows from, grew by more than this factor."""
_EPOCH = moment(0, "UTC")


class SlotKnowledge(Protocol):
    """What a cell is computed from."""

    @property
    def tenant(self) -> Tenant: ...
    @property
    def slot(self) -> Slot: ...
    @property
    def banners(self) -> tuple[Banner, ...]: ...
    @property
    def banner_ids(self) -> frozenset[str]: ...
    @property
    def evidence(self) -> SlotEvidence: ...
    @property
    def rendered(self) -> dict[str, tuple[bytes, bytes]]: ...

    """For whoever answers with it: by banner, what every answer has in common, once there was one."""


class Way(NamedTuple):
    """How a banner is chosen, and how events, tokens and answers write that."""

    policy: Policy
    reason: Reason
    event_policy: bytes
    event_reason: bytes
    token_policy: int
    answer: bytes
    """Members of a JSON object."""

    @classmethod
    def of(cls, policy: Policy, reason: Reason) -> "Way":
        """Written once, for all choices."""
        answer = f'"policy":"{policy}","reason":"{reason}"'.encode()
        return cls(policy, reason, policy_field(policy), text(reason), policy_number(policy), answer)


HOLDOUT = Way.of(Policy.HOLDOUT, Reason.HOLDOUT)
SHADOW = Way.of(Policy.FIXED, Reason.SHADOW)
WAYS = {
    Reason.LEARNED: Way.of(Policy.LEARNED, Reason.LEARNED),
    Reason.PINNED: Way.of(Policy.FIXED, Reason.PINNED),
    Reason.DEFAULT: Way.of(Policy.FIXED, Reason.DEFAULT),
}
"""Of visitors outside the holdout."""


class Written(NamedTuple):
    """What everybody in a cell has in common, as events and tokens write it. By cell and not by choice, since those of
    some ten thousand cells would fill the processor's caches and then memory."""

    event_place: bytes
    """Tenant, slot and city."""
    eligible: str | None
    """The banners that can be chosen, where they compete."""
    event_rest: bytes
    """Platform, no would-be banner, and the eligible ones."""
    token_place: bytes
    city: bytes

    @classmethod
    def of(cls, tenant: str, slot: str, visit: Visit, eligible: str | None) -> "Written":
        """For visits of this kind."""
        names = (tenant, slot, visit.city)
        event_place = b"".join([text(name) for name in names])
        rest = _rest(visit.platform, eligible)
        return cls(event_place, eligible, rest, place(*names), visit.city.encode())


class Choice(NamedTuple):
    """One banner chosen in one way."""

    cell: "Cell"
    banner: Banner
    way: Way
    propensity: float
    event_rest: bytes


@dataclass(slots=True)
class Cell:
    """Who competes for one kind of visit, and with which probabilities."""

    knowledge: SlotKnowledge
    visit: Visit
    banners: tuple[Banner, ...]
    ids: tuple[str, ...]
    """Of the banners."""
    probabilities: "array[float]"
    """As doubles: of thousands of cells, lists of numbers would fill the processor's caches."""
    cumulative: "array[float]"
    way: Way
    """Of a visitor outside the holdout."""
    written: Written
    is_open: bool
    """Whether the banners compete, so that a holdout makes a difference."""
    valid_until_us: int
    """When a schedule starts or ends and eligibility must be judged again."""
    trials: float
    """Of its city, as clicks."""
    clicks: float
    slot_trials: float
    requests: int = 0
    used_us: int = 0

    @property
    def reason(self) -> Reason:
        """Why these banners compete."""
        return self.way.reason

    def draw(self, random_number: float) -> Choice:
        """The banner that a uniform draw from [0, 1) falls on."""
        index = draw(self.cumulative, random_number)
        return Choice(self, self.banners[index], self.way, self.probabilities[index], self.written.event_rest)

    def draw_for_holdout(self, random_number: float) -> Choice:
        """One of the banners, each with the same probability."""
        count = len(self.banners)
        return Choice(self, self.banners[int(random_number * count)], HOLDOUT, 1 / count, self.written.event_rest)

    def show_in_shadow(self, shown: Banner, random_number: float) -> Choice:
        """This banner, while the event names the one that a draw falls on, with its probability."""
        if not self.banners:
            return Choice(self, shown, SHADOW, 1.0, self.written.event_rest)
        index = draw(self.cumulative, random_number)
        rest = rest_field(self.visit.platform, self.banners[index].id, self.written.eligible)
        return Choice(self, shown, SHADOW, self.probabilities[index], rest)

    def draw_apart(self, taken: Collection[str], random_number: float) -> Choice | None:
        """`draw` among the banners whose id is not taken, their probabilities divided by what they sum to.

        None where no banner with a chance is left.
        """
        if self.banners and self.knowledge.banner_ids.isdisjoint(taken):
            return self.draw(random_number)
        chances = self._chances_without(taken)
        ends = list(accumulate(chances))
        if not ends or not (total := ends[-1]):
            return None
        # What has no chance ends where the banner before it does, so no number falls on it; the last end, which
        # rounding may reach, belongs to the first banner that ends there.
        index = bisect_right(ends, random_number * total)
        if index == len(ends):
            index = bisect_left(ends, total)
        return Choice(self, self.banners[index], self.way, chances[index] / total, self._rest_without(taken))

    def draw_apart_for_holdout(self, taken: Collection[str], random_number: float) -> Choice | None:
        """One of the banners whose id is not taken, each with the same probability; None where none is left."""
        left = [banner for banner in self.banners if banner.id not in taken]
        if not left:
            return None
        banner = left[int(random_number * len(left))]
        return Choice(self, banner, HOLDOUT, 1 / len(left), self._rest_without(taken))

    def _chances_without(self, taken: Collection[str]) -> list[float]:
        chances, ids = self.probabilities.tolist(), self.ids
        for banner in taken:
            if banner in ids:
                chances[ids.index(banner)] = 0.0
        return chances

    def _rest_without(self, taken: Collection[str]) -> bytes:
        """What events say at their end where these could not be chosen."""
        return _rest(self.visit.platform, self.written.eligible, frozenset(taken))

    def is_stale(self) -> bool:
        """Whether the evidence of its city or of the slot moved on enough to compute again."""
        trials, clicks, slot_trials = evidence_of(self.knowledge.evidence, self.visit.city)
        return clicks != self.clicks or _moved_on(self.trials, trials) or _moved_on(self.slot_trials, slot_trials)


def _moved_on(known: float, now: float) -> bool:
    return not known <= now <= max(known * GROWTH, known + 1)


def evidence_of(evidence: SlotEvidence, city: str) -> tuple[float, float, float]:
    """All trials and clicks of a city, and all trials of the slot."""
    row = evidence.cities[city]
    return evidence.city_trials[row], evidence.city_clicks[row], evidence.slot_trials


class Sampler(NamedTuple):
    """How probabilities are drawn from a posterior; see `bandit.thompson.probabilities`."""

    rng: np.random.Generator
    draws: int
    gamma: float


def compute(knowledge: SlotKnowledge, visit: Visit, now_us: int, sampler: Sampler) -> Cell:
    """Judge eligibility and compute the probabilities."""
    now = moment(now_us, "UTC")
    slot = knowledge.slot
    banners, reason = contenders(slot, knowledge.banners, visit, now)
    evidence = knowledge.evidence
    chances = _chances(slot, banners, reason, evidence, visit.city, sampler)
    change = next_change(knowledge.banners, now)
    is_open = reason is Reason.LEARNED
    ids = tuple([banner.id for banner in banners])
    return Cell(
        knowledge,
        visit,
        banners,
        ids,
        array("d", chances),
        array("d", cumulative(chances) if chances else ()),
        WAYS[reason],
        Written.of(knowledge.tenant.id, slot.id, visit, eligible_among(ids, chances) if is_open else None),
        is_open,
        FOR_EVER_US if change is None else (change - _EPOCH) // timedelta(microseconds=1),
        *evidence_of(evidence, visit.city),
    )


def contenders(
    slot: Slot, banners: tuple[Banner, ...], visit: Visit, now: datetime
) -> tuple[tuple[Banner, ...], Reason]:
    """The banners that compete and why: the eligible ones, only the pinned one, or the default where there is none."""
    if not slot.enabled:
        return (), Reason.DEFAULT
    eligible = tuple(banner for banner in banners if why_not(banner, visit, now) is None)
    pinned = tuple(banner for banner in eligible if banner.id == slot.pinned_banner)
    if pinned:
        return pinned, Reason.PINNED
    if eligible:
        return eligible, Reason.LEARNED
    return tuple(banner for banner in banners if banner.id == slot.default_banner and banner.enabled), Reason.DEFAULT


@lru_cache(maxsize=4096)
def _rest(platform: str, eligible: str | None, taken: frozenset[str] = frozenset()) -> bytes:
    """`rest_field` without the taken. Kept: the banners that lead are on most pages, and often leave the same."""
    if eligible is not None:
        eligible = " ".join([banner for banner in eligible.split() if banner not in taken])
    return rest_field(platform, None, eligible)


def eligible_among(ids: tuple[str, ...], chances: Sequence[float]) -> str:
    """The ids of those that can be chosen, as an event holds them; a ceiling of 0 keeps a banner out."""
    return intern(" ".join(compress(ids, chances)))  # the same in most cells of a slot


def _chances(
    slot: Slot,
    banners: tuple[Banner, ...],
    reason: Reason,
    evidence: SlotEvidence,
    city: str,
    sampler: Sampler,
) -> list[float]:
    if reason != Reason.LEARNED or len(banners) == 1:
        return [1.0] * len(banners)
    columns = np.array([evidence.banners[banner.id] for banner in banners])
    weights = np.array([banner.weight for banner in banners])
    rng, draws, gamma = sampler
    posterior, row = evidence.posterior.only(columns), evidence.cities[city]
    shares = apply(
        probabilities(posterior, row, rng, weights=weights, draws=draws, gamma=gamma),
        exploration_share=slot.exploration_share,
        min_shares=np.array([banner.min_share for banner in banners]),
        max_shares=hold_newcomers(
            [banner.max_share for banner in banners],
            evidence.banner_trials[columns],
            until_trials=slot.new_banner_trials,
            share=slot.new_banner_max_share,
        ),
    )
    return [float(share) for share in shares]


class CellCache:
    """At most `max_cells` cells; the least recently used tenth goes when it is full."""

    def __init__(self, max_cells: int, rng: np.random.Generator, draws: int, gamma: float = CHOICE_GAMMA) -> None:
        self._max_cells = max_cells
        self._sampler = Sampler(rng, draws, gamma)
        self._cells: dict[tuple[SlotKnowledge, Visit], Cell] = {}

    def get(self, knowledge: SlotKnowledge, visit: Visit, now_us: int) -> Cell:
        """The cell, computed here and now only when there is none that may still be used."""
        cell = self._cells.get((knowledge, visit))
        if cell is None or now_us >= cell.valid_until_us:
            cell = self._put(compute(knowledge, visit, now_us, self._sampler))
        cell.requests += 1
        cell.used_us = now_us
        return cell

    def compute(self, knowledge: SlotKnowledge, visit: Visit, now_us: int) -> Cell:
        """A cell that is not kept."""
        return compute(knowledge, visit, now_us, self._sampler)

    def refresh(self, is_current: Callable[[SlotKnowledge], bool], now_us: int, has_time: Callable[[], bool]) -> None:
        """Drop the cells of knowledge replaced since, and compute stale ones again, most requested first."""
        cells = list(self._cells.items())  # at once, since requests add to it meanwhile
        cells.sort(key=lambda item: -item[1].requests)
        time_is_left = True
        for key, cell in cells:
            if not is_current(cell.knowledge):
                self._cells.pop(key, None)
            elif time_is_left and cell.is_stale() and (time_is_left := has_time()):
                fresh = compute(cell.knowledge, cell.visit, now_us, self._sampler)
                fresh.used_us = cell.used_us
                self._put(fresh)
            else:
                cell.requests //= 2

    def _put(self, cell: Cell) -> Cell:
        key = (cell.knowledge, cell.visit)
        if key not in self._cells and len(self._cells) >= self._max_cells:
            oldest = list(self._cells.items())
            oldest.sort(key=lambda item: item[1].used_us)
            for oldest_key, _ in oldest[: self._max_cells // 10 + 1]:
                self._cells.pop(oldest_key, None)
        self._cells[key] = cell
        return cell

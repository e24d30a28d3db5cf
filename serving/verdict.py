"""Whether an event counts. Judged once, when HTTP receives it, on the visitor and never on the connection."""

from functools import lru_cache
from typing import NamedTuple

from bandit.model import Kind, Verdict
from serving.token import Token

_ACCEPTED = Verdict.ACCEPTED
MINUTE_US = 60_000_000
FUTURE_TOLERANCE_US = 60_000_000
"""Clocks of several hosts may differ by this much before a token is called one from the future."""
MAX_VISITORS = 100_000
"""Visitors a process remembers within one minute; beyond it newcomers are not limited, so memory stays bounded."""


class Visitor(NamedTuple):
    """Who looks at the page, as far as the caller told us. A rule whose fact is absent is not applied."""

    user_agent: str | None = None
    address: str | None = None
    prefetch: bool = False
    in_person: bool = False
    """The request comes from the visitor's own browser, so its timing says something."""


@lru_cache(maxsize=10_000)
def is_bot(user_agent: str) -> bool:
    """By a maintained list of crawlers and tools; a browser always names itself, so nothing is a bot too."""
    from crawleruseragents import is_crawler  # reads its list when imported

    return not user_agent or bool(is_crawler(user_agent))


class RateLimit:
    """At most `per_minute` events of one (tenant, visitor) in each minute of the clock, in this process."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._minute = 0
        self._seen: dict[int, int] = {}
        """By a hash of the visitor, so that what a visitor is called takes no room."""

    def exceeded(self, tenant: str, visitor: Visitor, now_us: int) -> bool:
        """Counts this event; True from the first one over the limit."""
        if visitor.address is None:
            return False
        minute = now_us // MINUTE_US
        if minute != self._minute:
            self._minute, self._seen = minute, {}
        key = hash((tenant, visitor.address, visitor.user_agent))
        count = self._seen.get(key, 0) + 1
        if count > 1 or len(self._seen) < MAX_VISITORS:
            self._seen[key] = count
        return count > self._per_minute


class Judge:
    """The verdicts of one process."""

    def __init__(self, *, impressions_per_minute: int, clicks_per_minute: int, too_fast_us: int) -> None:
        self._impressions = RateLimit(impressions_per_minute)
        self._feedback = RateLimit(clicks_per_minute)
        self._too_fast_us = too_fast_us

    def served(self, tenant: str, visitor: Visitor, now_us: int) -> Verdict:
        """Of an impression."""
        agent = visitor.user_agent
        if agent is not None and is_bot(agent):
            return Verdict.BOT
        if visitor.prefetch:
            return Verdict.PREFETCH
        if self._impressions.exceeded(tenant, visitor, now_us):
            return Verdict.RATE_LIMITED
        return _ACCEPTED

    def feedback(self, kind: Kind, token: Token, visitor: Visitor, now_us: int, window_us: int) -> Verdict:
        """Of a view or click received now, with the slot's attribution window."""
        age = now_us - token.served_at
        if not token.counted:
            return Verdict.UNCOUNTED
        if age < -FUTURE_TOLERANCE_US:
            return Verdict.FUTURE
        if age > window_us:
            return Verdict.LATE
        too_fast = kind is Kind.CLICKED and visitor.in_person and age < self._too_fast_us
        return self._of_visitor(token.tenant, visitor, now_us, too_fast=too_fast)

    def _of_visitor(self, tenant: str, visitor: Visitor, now_us: int, *, too_fast: bool) -> Verdict:
        if visitor.user_agent is not None and is_bot(visitor.user_agent):
            return Verdict.BOT
        if visitor.prefetch:
            return Verdict.PREFETCH
        if too_fast:
            return Verdict.TOO_FAST
        if self._feedback.exceeded(tenant, visitor, now_us):
            return Verdict.RATE_LIMITED
        return Verdict.ACCEPTED

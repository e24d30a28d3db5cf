"""What may be forgotten by now, removed in steps so small that a delivery never waits long for one."""

import logging
import threading
import time
from collections.abc import Callable

from storage.base import Store, StoreUnavailable

log = logging.getLogger(__name__)

DAY_US = 86_400_000_000
LONGEST_WINDOW_DAYS = 30
"""No slot may count clicks for longer. Not what the slots have now: a window that grows must find the old claims."""
CLAIM_DAYS = LONGEST_WINDOW_DAYS + 7
"""A click judged in time may lie in a journal for a week before it is counted; its claim has to be there then."""
STEP_ROWS = 500
REST = 4
"""Pauses are so many times as long as the step before: pruning takes at most a fifth of the store's time."""
SHORTEST_PAUSE_SECONDS = 0.02
IDLE_SECONDS = 30.0
MOST_AT_ONCE_US = 3_600_000_000
"""A round removes no more than an hour's worth, 120 times as fast as it comes about: a clock that is a year ahead for
some minutes must not take all events, nor all claims, after which clicks are refused."""


def keep_pruned(store: Store, stop: threading.Event, *, retention_days: int, now_us: Callable[[], int]) -> None:
    """Remove what is too old until `stop`; what fails is logged and tried again later."""
    while not stop.is_set():
        try:
            prune(store, stop, retention_days=retention_days, now_us=now_us())
        except StoreUnavailable as error:
            log.warning("old events are kept for now: %s", error)
        except Exception:  # nobody would notice the end of this thread but by a full disk
            log.exception("old events are kept for now")
        stop.wait(IDLE_SECONDS)


def prune(store: Store, stop: threading.Event, *, retention_days: int, now_us: int) -> int:
    """Remove, step by step, the oldest hour of what is too old now; how many rows that were."""
    received_at, served_at = store.oldest()
    events = _limit(now_us - retention_days * DAY_US, received_at)
    claims = _limit(now_us - CLAIM_DAYS * DAY_US, served_at)
    total, removed = 0, -1
    while removed and not stop.is_set():
        started = time.monotonic()
        removed = store.prune(events_before=events, claims_before=claims, limit=STEP_ROWS)
        total += removed
        stop.wait(max(SHORTEST_PAUSE_SECONDS, REST * (time.monotonic() - started)) if removed else 0)
    return total


def _limit(wanted: int, oldest: int | None) -> int:
    return 0 if oldest is None else min(wanted, oldest + MOST_AT_ONCE_US)

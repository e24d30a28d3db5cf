"""How late an event may reach the log it is counted from."""

from bandit.event import UndecodableEvent, decode
from storage.base import Record

DAY_US = 86_400_000_000
LONGEST_DELAY_DAYS = 21
"""Counting forgets a journal 30 days after its last record, and claims some time after the attribution window; an event
that came later than that could count twice."""
TOO_LATE = f"it waited more than {LONGEST_DELAY_DAYS} days, and a repetition might count again"

_SERVED_AT = slice(1, 9)
"""In the payload: the impression id follows the kind, and starts with the time."""


def is_too_late(record: Record, now_us: int) -> bool:
    """Whether this event has waited longer than the longest delay."""
    limit = now_us - LONGEST_DELAY_DAYS * DAY_US
    # Most events are of today, and their impression's time is found without decoding them.
    if int.from_bytes(record.payload[_SERVED_AT], "big") > limit:
        return False
    try:
        return decode(record.payload).received_at < limit
    except UndecodableEvent:  # the log takes it: its readers set it aside with the reason
        return False

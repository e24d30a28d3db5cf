"""Which records of a journal were received, so that one that comes again counts once."""

from collections.abc import Mapping
from typing import NamedTuple

MAX_GAPS = 1_000
"""Gaps kept of one journal in one shard; past it the lowest is closed, and what would fill it is a duplicate."""
HOUR_US = 3_600_000_000
IDLE_US = 30 * 24 * HOUR_US
"""Log time after its last record at which a journal is forgotten."""

Gaps = tuple[tuple[int, int], ...]


class Received:
    """The sequences taken from one (journal, shard): 1 to `highest`, but for the gaps.

    A highest number alone would take a dead letter that is replayed after its successors for a duplicate.
    """

    def __init__(self, highest: int = 0, gaps: list[tuple[int, int]] | None = None) -> None:
        self.highest = highest
        self.gaps = gaps or []
        """(first, last), both included, in ascending order."""
        self.gaps_changed = False

    def take(self, sequence: int) -> bool:
        """Remember a sequence; False when it was taken before."""
        if sequence <= self.highest:
            return bool(self.gaps) and self._fill(sequence)
        if sequence > self.highest + 1:
            self.gaps.append((self.highest + 1, sequence - 1))
            self.gaps_changed = True
        self.highest = sequence
        return True

    def has(self, sequence: int) -> bool:
        """Whether it was taken before."""
        return sequence <= self.highest and not any(first <= sequence <= last for first, last in self.gaps)

    def _fill(self, sequence: int) -> bool:
        for number, (first, last) in enumerate(self.gaps):
            if first <= sequence <= last:
                parts = ((first, sequence - 1), (sequence + 1, last))
                self.gaps[number : number + 1] = [part for part in parts if part[0] <= part[1]]
                self.gaps_changed = True
                return True
        return False


class JournalRanges(NamedTuple):
    """What is stored of one journal."""

    highest: int
    seen_us: int
    """Log time of its last record."""
    gaps: Gaps


class ReceivedRanges:
    """What one shard has received of all journals; it changes by rule on the records alone, so that a replay of the
    log makes the same ranges. Log time is the latest served_at so far: tokens sign it, so no sender can set it.
    """

    def __init__(self, stored: Mapping[int, JournalRanges]) -> None:
        self._journals = {journal: Received(ranges.highest, [*ranges.gaps]) for journal, ranges in stored.items()}
        self._seen_us = {journal: ranges.seen_us for journal, ranges in stored.items()}
        # The journal whose record set the log time is not forgotten before another one sets it.
        self._log_time_us = max(self._seen_us.values(), default=0)

    def take(self, journal: int, sequence: int, served_at_us: int) -> bool:
        """Remember a record; False when it was taken before."""
        if served_at_us > self._log_time_us:
            self._advance(served_at_us)
        self._seen_us[journal] = self._log_time_us
        received = self._journals.get(journal)
        if received is None:
            received = self._journals[journal] = Received()
        is_new = received.take(sequence)
        if len(received.gaps) > MAX_GAPS:
            del received.gaps[0]
        return is_new

    def stored(self) -> dict[int, JournalRanges]:
        """For the next owner of the shard."""
        return {
            journal: JournalRanges(received.highest, self._seen_us[journal], tuple(received.gaps))
            for journal, received in self._journals.items()
        }

    def _advance(self, log_time_us: int) -> None:
        is_another_hour = log_time_us // HOUR_US > self._log_time_us // HOUR_US
        self._log_time_us = log_time_us
        if is_another_hour:
            for journal in [one for one, seen_us in self._seen_us.items() if seen_us < log_time_us - IDLE_US]:
                del self._seen_us[journal], self._journals[journal]

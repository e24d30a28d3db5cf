"""The consumer with a script of its death, and with a rule broken where a test wants to see that it matters.

CRASH_AT says where it sends itself CRASH_SIGNAL (or else SIGKILL), once (CRASH_MARKER is the file that remembers);
BROKEN which rule it ignores.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bandit.counting import Counting
from bandit.counting_store import Claim, CountWrite, NameWrite, ProgressWrite
from bandit.event import BannerEvent
from kafka_ingest import consumer, consuming
from storage.cassandra_counting import OWNERS, CassandraCounting
from storage.cassandra_session import COUNTING

AFTER_CLAIM, BETWEEN_ROWS, BEFORE_PROGRESS = "after claim", "between rows", "before progress"
SEEN_MARKS, PROGRESS_FIRST = "seen marks", "progress first"


def crash(point: str) -> None:
    """Die here, or stand still, if this is the place and it did not happen yet."""
    marker = Path(os.environ["CRASH_MARKER"])
    if os.environ["CRASH_AT"] == point and not marker.exists():
        marker.write_text(point)
        os.kill(os.getpid(), signal.Signals[os.environ.get("CRASH_SIGNAL", "SIGKILL")])


class CrashingStore(CassandraCounting):
    """Dies at one of the points between two statements."""

    def owners(self, claims: Sequence[Claim]) -> Sequence[int]:
        crash(AFTER_CLAIM)
        return super().owners(claims)

    def write(self, counts: Sequence[CountWrite], names: Sequence[NameWrite], clicks: Sequence[BannerEvent]) -> None:
        if len(counts) > 1:
            half = len(counts) // 2
            super().write(counts[:half], names, clicks)
            crash(BETWEEN_ROWS)
            super().write(counts[half:], [], [])
        else:
            super().write(counts, names, clicks)

    def write_progress(self, progress: Sequence[ProgressWrite]) -> None:
        if progress and progress[0].progress.next_offset:
            crash(BEFORE_PROGRESS)
        super().write_progress(progress)


class SeenMarks(CrashingStore):
    """A claim that is there already makes a duplicate, whoever made it."""

    def claim(self, claims: Sequence[Claim]) -> None:
        answers = [
            self._session.run(OWNERS, ([claim.impression_id], claim.kind, self._epoch), COUNTING) for claim in claims
        ]
        self._is_seen = [bool(rows) for rows in answers]
        super().claim(claims)

    def owners(self, claims: Sequence[Claim]) -> Sequence[int]:
        crash(AFTER_CLAIM)
        return [-1 if seen else claim.offset for claim, seen in zip(claims, self._is_seen, strict=True)]


class ProgressFirst(Counting):
    """Says that it is done before it is."""

    def flush(self) -> dict[int, int]:
        self._write_progress(list(self._shards.values()))
        return super().flush()


if __name__ == "__main__":
    broken = os.environ["BROKEN"]
    vars(consuming)["CassandraCounting"] = SeenMarks if broken == SEEN_MARKS else CrashingStore
    if broken == PROGRESS_FIRST:
        vars(consuming)["Counting"] = ProgressFirst
    sys.exit(consumer.main())

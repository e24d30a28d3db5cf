"""What a process remembers for its pages, and the thread that reads what they had no time for."""

from pathlib import Path

from serving.daily_counts import DailyCounts
from serving.daily_counts_file import DailyCountsFile
from serving.later import Later
from serving.standings import Standings
from storage.base import Store


class PageMemory:
    """Of one process. Works without its thread too: what is left for later is then left for the next page."""

    def __init__(self, store: Store, path: Path) -> None:
        """`path`: the file of the daily counts."""
        self._later = Later()
        self.daily_counts = DailyCounts(store, self._later, DailyCountsFile(path))
        self.standings = Standings(store, self._later)

    def start(self) -> None:
        """Load what is saved, and begin."""
        self.daily_counts.start()
        self._later.start()

    def stop(self) -> None:
        """Save what is known."""
        self._later.stop()
        self.daily_counts.stop()

"""Everything one web process holds besides Flask, started and stopped together."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving.decide import Decider
from serving.explain import Explainer
from serving.feedback import Feedback
from serving.keyring import Keyring
from serving.snapshot import Snapshot
from serving.verdict import Judge
from storage import drain_status
from storage.journal import Journal, JournalFull, JournalRefused
from storage.sample_ratio_watch import read_alarms
from web.context import Insight
from web.door import Door, Services
from web.metrics import Metrics
from web.visitors import Visitors

Readiness = tuple[bool, str, dict[str, Any]]


class Worker:
    """The hot path of one process and what it says about itself."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        journal: Journal,
        journal_directory: Path,
        metrics_directory: Path,
        keyring: Keyring,
        judge: Judge,
        visitors: Visitors,
        public_url: str,
        city_header: str,
        clock: Callable[[], int],
        rng: random.Random,
    ) -> None:
        self.snapshot = snapshot
        self.metrics = Metrics(metrics_directory, self._gauges)
        self._journal = journal
        self._journal_directory = journal_directory
        self._stopping = threading.Event()
        decider = Decider(snapshot, journal, keyring, judge, rng=rng, clock=clock)
        explainer = Explainer(snapshot, decider, clock=clock)
        self.insight = Insight(snapshot, explainer, keyring, journal_directory)
        services = Services(
            snapshot,
            decider,
            Feedback(snapshot, journal, keyring, judge, clock=clock),
            explainer,
            visitors,
            self.metrics,
        )
        self.door = Door(services, public_url=public_url, city_header=city_header)

    def start(self) -> None:
        """Load what is known and keep it fresh."""
        self.snapshot.start()
        self.metrics.start()

    def stop(self) -> None:
        """Save the snapshot, sync the journal; a second call does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self.snapshot.stop()
        self.metrics.stop()
        self._journal.close()

    def ready(self) -> Readiness:
        """(ready, state, details): not ready before the first load, when stopping, and when nothing can be recorded."""
        drain = drain_status.status(self._journal_directory)
        details = {
            "snapshot_age_seconds": round(self.snapshot.age_seconds(), 1) if self.snapshot.configuration else None,
            "drain": drain_status.is_alive(self._journal_directory),
            "delivering": not drain.trouble,
        }
        if self._stopping.is_set():
            return False, "stopping", details
        if self.snapshot.configuration is None:
            return False, "starting", details
        if not details["drain"]:
            return False, "no drain", details
        try:
            self._journal.check()
        except JournalFull:
            return False, "shedding", details
        except JournalRefused:
            return False, "journal unwritable", details
        return True, "degraded" if self.snapshot.store_is_away or drain.trouble else "ok", details

    def _gauges(self) -> dict[str, tuple[str, float]]:
        drain = drain_status.status(self._journal_directory)
        alive = drain_status.is_alive(self._journal_directory)
        backlog = drain_status.backlog_bytes(self._journal_directory)
        age = self.snapshot.age_seconds() if self.snapshot.configuration else float("inf")
        return {
            "banner_journal_backlog_bytes": ("Journaled bytes that wait to be delivered.", backlog),
            "banner_drain_alive": ("1 while a drain works.", int(alive)),
            "banner_drain_delivered_total": ("Records the store has taken or refused.", drain.delivered),
            "banner_dead_letters_total": ("Records the store refused for good.", drain.dead_letters),
            "banner_journal_lost_bytes_total": ("Damaged journal bytes that were skipped.", drain.lost_bytes),
            "banner_sample_ratio_alarms": (
                "Banners that were not drawn as often as their propensities say; GET /reports/sampling.",
                len(read_alarms(self._journal_directory)),
            ),
            "banner_snapshot_age_seconds": ("Since this worker last read the store.", age),
            "banner_evidence_lag_seconds": (
                "How long the slot in use that waits longest has waited for this worker to read its evidence.",
                self.snapshot.evidence_lag_seconds(),
            ),
            "banner_store_away": ("1 while this worker cannot read the store.", int(self.snapshot.store_is_away)),
        }

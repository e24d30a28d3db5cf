"""What a process knows: all configuration, and the evidence of every slot that is being asked for.

Requests read it and never wait for it; one background thread keeps it fresh. When the store is away the last state goes
on being used, and its age is told.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bandit.eligibility import Visit
from bandit.model import Configuration, Slot, Tenant
from bandit.thompson import CHOICE_GAMMA
from serving.cells import Cell, CellCache
from serving.slot_view import SECOND_US, SlotView
from serving.snapshot_file import SavedSnapshot, SnapshotFile
from storage.base import Store, StoreUnavailable

log = logging.getLogger(__name__)

PRELOAD_SECONDS = 5.0
"""How long a starting process may read evidence before it serves; what is left is read when first asked for."""


class _Budget:
    """Time of this thread on the processor, or of another clock."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def is_left(self) -> bool:
        return self._clock() < self._end


class Snapshot:
    """The configuration, views and cells of one process."""

    def __init__(
        self,
        store: Store,
        file: SnapshotFile,
        *,
        clock: Callable[[], int],
        rng: np.random.Generator,
        refresh_seconds: float = 2.0,
        cpu_share: float = 0.1,
        max_cells: int = 20_000,
        save_seconds: float = 60.0,
        draws: int = 1000,
        gamma: float = CHOICE_GAMMA,
    ) -> None:
        self._store = store
        self._file = file
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._cpu_share = cpu_share
        self._save_us = int(save_seconds * SECOND_US)
        self._cells = CellCache(max_cells, rng, draws, gamma)
        self._views: dict[tuple[str, str], SlotView] = {}
        self._cursor = 0
        self._saved_us = 0
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.configuration: Configuration | None = None
        self.partitions = 1
        """Into how many shards impressions are spread."""
        self.refreshed_us = 0
        """When the store was last read; 0 while everything known comes from the saved file."""
        self._known_us = 0
        """When the store was read for what is known, by this process or by the one that saved the file."""
        self.store_is_away = False

    def view(self, tenant: str, slot: str) -> SlotView | None:
        """The slot, if it is configured."""
        return self._views.get((tenant, slot))

    def cell(self, view: SlotView, visit: Visit, now_us: int) -> Cell:
        """The probabilities for a visit; marks the slot as asked for."""
        if now_us - view.asked_us > SECOND_US:
            idle = not view.is_known or not view.is_asked_for(now_us)
            view.asked_us = now_us
            if idle:
                self._wake.set()
        return self._cells.get(view, visit, now_us)

    def thought_of(self, view: SlotView, visit: Visit, now_us: int) -> Cell:
        """The probabilities for a visit if the slot were as in this view; nothing is kept."""
        return self._cells.compute(view, visit, now_us)

    def current(self) -> Configuration:
        """The configuration. Raises StoreUnavailable while none was ever loaded."""
        if self.configuration is None:
            raise StoreUnavailable("nothing was loaded yet")
        return self.configuration

    def age_seconds(self) -> float:
        """How old the newest knowledge is."""
        return max(self._clock() - self._known_us, 0) / SECOND_US

    def evidence_lag_seconds(self) -> float:
        """How long the slot that has waited longest, of those asked for, has been waiting to be read again."""
        now = self._clock()
        waiting = [view.due_us for view in list(self._views.values()) if view.due_us and view.is_asked_for(now)]
        return max(now - min(waiting, default=now), 0) / SECOND_US

    # --- the background thread ---

    def start(self) -> None:
        """Load what there is, then keep it fresh. Without store and file the process comes up and is not ready."""
        self._restore()
        self._refresh_or_report(preload=True)
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop refreshing and save what is known."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._save()

    def refresh(self, *, preload: bool = False) -> None:
        """Read what changed and compute stale cells again. Raises StoreUnavailable, leaving what is known."""
        now = self._clock()
        version = self._refresh_configuration()
        self._note_changes()
        # Half of the share each, so that neither can starve the other.
        seconds = self._cpu_share * self._refresh_seconds / 2
        budget = _Budget(PRELOAD_SECONDS, time.monotonic) if preload else _Budget(seconds)
        self._refresh_evidence(now, version, budget, preload=preload)
        self.refreshed_us = self._known_us = now
        self._cells.refresh(self._is_current, now, _Budget(seconds).is_left)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(self._refresh_seconds)
            if self._wake.is_set():
                # Somebody asks for a slot that was not read yet; a moment collects several such requests.
                self._stop.wait(min(0.05, self._refresh_seconds))
                self._wake.clear()
            self._refresh_or_report()
            if self._clock() - self._saved_us >= self._save_us:
                self._save()

    def _refresh_or_report(self, *, preload: bool = False) -> None:
        try:
            self.refresh(preload=preload)
        except StoreUnavailable as error:
            if not self.store_is_away:
                log.warning("the store is away, serving from the last snapshot: %s", error)
            self.store_is_away = True
        except Exception:
            log.exception("the snapshot could not be refreshed")
            self.store_is_away = True
        else:
            if self.store_is_away:
                log.info("the store is back")
            self.store_is_away = False

    # --- configuration ---

    def _refresh_configuration(self) -> int:
        version = self._store.configuration_version()
        known = self.configuration
        if known is None or version != known.version or not self.refreshed_us:
            known = self._store.configuration()
            self._use(known)
        return known.version

    def _use(self, configuration: Configuration) -> None:
        """Reads no evidence: a revoked key must not wait until that of every slot was read."""
        views: dict[tuple[str, str], SlotView] = {}
        for (tenant_id, slot_id), slot in configuration.slots.items():
            tenant = configuration.tenants.get(tenant_id)
            if tenant is not None:
                views[(tenant_id, slot_id)] = self._view_for(tenant, slot, configuration)
        self._views = views
        self.configuration = configuration
        self.partitions = configuration.partitions

    def _view_for(self, tenant: Tenant, slot: Slot, configuration: Configuration) -> SlotView:
        key = (tenant.id, slot.id)
        banners = tuple(configuration.banners.get(key, {}).values())
        old = self._views.get(key)
        if old is not None and old.is_same(tenant, slot, banners):
            return old
        view = SlotView(tenant, slot, banners)
        if old is not None:
            view.take_over(old)
        return view

    def _is_current(self, knowledge: Any) -> bool:
        return self._views.get((knowledge.tenant.id, knowledge.slot.id)) is knowledge

    # --- evidence ---

    def _note_changes(self) -> None:
        changes = self._store.changes(self._cursor)
        self._cursor = changes.cursor
        if changes.partitions is None:
            for view in self._views.values():
                view.live_changed = True
            return
        for tenant, slot, day in changes.partitions:
            view_or_none = self._views.get((tenant, slot))
            if view_or_none is not None:
                view_or_none.note_change(day, view_or_none.clock.day(self._clock()))

    def _refresh_evidence(self, now: int, version: int, budget: "_Budget", *, preload: bool) -> None:
        """Read what is due; what the budget does not reach has its turn the next time."""
        for view in self._due_views(now, version, preload=preload):
            view.read(self._store, now, version)
            if not budget.is_left():
                return

    def _due_views(self, now: int, version: int, *, preload: bool) -> list[SlotView]:
        """Those of which nothing is known, then those that have waited longest."""
        due = []
        for view in self._views.values():
            if (preload or view.is_asked_for(now)) and view.is_due(now, version):
                view.due_us = view.due_us or now
                due.append(view)
            else:
                view.due_us = 0
        return sorted(due, key=lambda view: (view.is_known, view.due_us, view.read_us))

    # --- the saved file ---

    def _restore(self) -> None:
        saved = self._file.load()
        if saved is None:
            return
        self._use_saved(saved)

    def _use_saved(self, saved: SavedSnapshot) -> None:
        configuration = saved.configuration
        for key, slot in configuration.slots.items():
            tenant = configuration.tenants.get(key[0])
            if tenant is not None:
                view = SlotView(tenant, slot, configuration.banners.get(key, {}).values())
                total = saved.evidence.get(key)
                if total is not None:
                    view.restore(total)
                self._views[key] = view
        self.configuration = configuration
        self.partitions = configuration.partitions
        self._known_us = saved.read_us

    def _save(self) -> None:
        if self.configuration is None or not self.refreshed_us:
            return  # what came from the file is still in it
        evidence = {key: np.stack(view.evidence.matrices()) for key, view in list(self._views.items()) if view.is_known}
        self._saved_us = self._clock()
        self._file.save(SavedSnapshot(self.configuration, self._known_us, evidence))

"""One slot as a process knows it, and when it should be read again."""

from collections.abc import Iterable

from bandit import city as city_names
from bandit import zone
from bandit.model import Banner, Slot, Tenant
from serving.evidence import LIVE_DAYS, Matrix, SlotEvidence, SlotHistory
from storage.base import Store

SECOND_US = 1_000_000
ACTIVE_US = 60 * SECOND_US
"""A slot not asked for this long is no longer refreshed."""
OLD_DAYS_US = 600 * SECOND_US
"""How often days before yesterday are read again after late deliveries to them."""


class SlotView:
    """One slot as this process knows it. Replaced, not changed, when its configuration changes."""

    def __init__(self, tenant: Tenant, slot: Slot, banners: Iterable[Banner]) -> None:
        self.tenant = tenant
        self.slot = slot
        self.banners = tuple(banners)
        self.known_cities = city_names.index(tenant.cities)
        self.clock = zone.clock(tenant.time_zone)
        self.history = SlotHistory(tenant, slot, self.banners)
        self.evidence: SlotEvidence = self.history.empty()
        self.rendered: dict[str, tuple[bytes, bytes]] = {}
        self.is_known = False
        """Whether its evidence was read, carried over from the view before it, or restored from the saved file."""
        self.asked_us = 0
        self.due_us = 0
        """Since when it should be read again; 0 while it need not be."""
        self.read_us = 0
        """When evidence was last read; 0: never."""
        self.older_read_us = 0
        self.seeds_version = -1
        self.live_changed = False
        self.older_changed = False

    def is_same(self, tenant: Tenant, slot: Slot, banners: Iterable[Banner]) -> bool:
        """Whether this configuration is the one it was made from."""
        return self.tenant == tenant and self.slot == slot and self.banners == tuple(banners)

    def is_asked_for(self, now: int) -> bool:
        """Whether somebody asked for it lately."""
        return now - self.asked_us <= ACTIVE_US

    def take_over(self, old: "SlotView") -> None:
        """Begin with what the view it replaces knew, so a change of configuration never makes a slot forget."""
        self.asked_us, self.due_us = old.asked_us, old.due_us
        if old.is_known:
            self.evidence = self.history.carried(old.evidence)
            self.is_known = True

    def restore(self, total: Matrix) -> None:
        """Begin with saved matrices, unless they are of other cities or banners."""
        if total.shape == (3, *self.evidence.trials.shape):
            self.evidence = self.history.evidence(total)
            self.is_known = True

    def note_change(self, day: int, today: int) -> None:
        """Counts of a day have changed in the store."""
        if day > today - LIVE_DAYS:
            self.live_changed = True
        else:
            self.older_changed = True

    def older_is_due(self, now: int) -> bool:
        """Whether days before yesterday should be read again."""
        return not self.read_us or (self.older_changed and now - self.older_read_us >= OLD_DAYS_US)

    def is_due(self, now: int, version: int) -> bool:
        """Whether the evidence may differ from what was read."""
        day_is_over = self.clock.day(self.read_us) != self.clock.day(now)
        return self.live_changed or self.older_is_due(now) or day_is_over or self.seeds_version != version

    def read(self, store: Store, now: int, version: int) -> None:
        """Read what may have changed. Raises StoreUnavailable, and then is as due as before."""
        older = self.older_is_due(now)
        seeds = self.seeds_version != version
        self.evidence = self.history.read(store, self.clock.day(now), older=older, seeds=seeds)
        self.is_known, self.live_changed, self.due_us = True, False, 0
        self.read_us, self.seeds_version = now, version
        if older:
            self.older_read_us, self.older_changed = now, False

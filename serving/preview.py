"""What the shares of a slot's banners would become if its settings were changed."""

from collections.abc import Iterable, Mapping

from bandit.eligibility import Visit
from bandit.model import Banner, Slot
from serving.slot_view import SlotView
from serving.snapshot import Snapshot

MOST_CITIES = 10
"""Looked at: those with most evidence."""


def changed(view: SlotView, slot: Slot, banners: Iterable[Banner]) -> SlotView:
    """The slot as it would be known after the change, with the evidence it has now."""
    thought = SlotView(view.tenant, slot, banners)
    thought.take_over(view)
    return thought


def shares(snapshot: Snapshot, view: SlotView, now_us: int) -> Mapping[str, float]:
    """Of the next visitors outside the holdout, the share that sees each banner; cities by their part of the evidence.

    Visitors on the slot's first platform and of no segment. Sums to less than 1 where some would see none.
    """
    evidence = view.evidence
    cities = sorted(evidence.cities, key=lambda city: -evidence.city_trials[evidence.cities[city]])[:MOST_CITIES]
    parts = {city: evidence.city_trials[evidence.cities[city]] for city in cities}
    if not sum(parts.values()):
        parts = dict.fromkeys(cities, 1.0)
    found = dict.fromkeys(evidence.banners, 0.0)
    for city, part in parts.items():
        cell = snapshot.thought_of(view, Visit(city, view.slot.platforms[0], None), now_us)
        for banner, share in zip(cell.banners, cell.probabilities, strict=True):
            found[banner.id] += share * part / sum(parts.values())
    return found

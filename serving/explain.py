"""How a choice would be made now: every banner of the slot with its evidence, its chance, and why it has none."""

from collections.abc import Callable
from typing import Any

from bandit.eligibility import Visit, why_not
from bandit.model import Banner
from bandit.zone import moment
from serving.cells import Cell
from serving.decide import Ask, Decider
from serving.slot_view import SlotView
from serving.snapshot import Snapshot

INTERVAL = 0.9


class Explainer:
    """Explains without choosing: nothing is drawn, recorded or counted."""

    def __init__(self, snapshot: Snapshot, decider: Decider, *, clock: Callable[[], int]) -> None:
        self._snapshot = snapshot
        self._decider = decider
        self._clock = clock

    def explain(self, ask: Ask) -> dict[str, Any]:
        """Ready for JSON. Raises UnknownName."""
        view, visit, *_ = self._decider.understand(ask)
        return self.explain_visit(view, visit)

    def explain_visit(self, view: SlotView, visit: Visit) -> dict[str, Any]:
        """The same for a visit in our words, whose city is one of the evidence's, OTHER and UNKNOWN too."""
        now_us = self._clock()
        cell = self._snapshot.cell(view, visit, now_us)
        now = moment(now_us, "UTC")
        competing = {banner.id: share for banner, share in zip(cell.banners, cell.probabilities, strict=True)}
        reasons = {banner.id: why_not(banner, visit, now) for banner in view.banners}
        return {
            "slot": view.slot.id,
            "city": visit.city,
            "platform": visit.platform,
            "segment": visit.segment,
            "reason": cell.reason,
            "holdout_share": view.slot.holdout_share,
            "trial": view.slot.trial,
            "at": view.clock.iso(now_us),
            "banners": _rows(view, cell, competing, reasons),
        }


def _rows(
    view: SlotView, cell: Cell, competing: dict[str, float], reasons: dict[str, str | None]
) -> list[dict[str, Any]]:
    evidence = view.evidence
    row = evidence.cities[cell.visit.city]
    posterior = evidence.posterior
    means, slot_means, borrowed = posterior.mean(row), posterior.mean(None), posterior.borrowed_trials(row)
    lows, highs = posterior.interval(row, INTERVAL)

    def shown(banner: Banner) -> dict[str, Any]:
        column = evidence.banners[banner.id]
        return {
            "banner": banner.id,
            "trials": float(evidence.trials[row, column]),
            "clicks": float(evidence.clicks[row, column]),
            "slot_mean": float(slot_means[column]),
            "borrowed_trials": float(borrowed[column]),
            "mean": float(means[column]),
            "low": float(lows[column]),
            "high": float(highs[column]),
            "is_new": bool(evidence.banner_trials[column] < view.slot.new_banner_trials),
            "weight": banner.weight,
            "probability": competing.get(banner.id, 0.0),
            "why_not": _why_not(banner, cell, competing, reasons[banner.id]),
        }

    return [shown(banner) for banner in view.banners]


def _why_not(banner: Banner, cell: Cell, competing: dict[str, float], reason: str | None) -> str | None:
    if banner.id in competing:
        return None
    if not cell.banners:
        return reason or "the slot is disabled"
    return reason or f"the {cell.reason} banner is shown"

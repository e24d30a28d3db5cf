"""What the tests of the serving side ask an installation for."""

import numpy as np

from bandit.eligibility import Visit
from bandit.model import Seed, Slot
from serving.cells import Cell
from serving.slot_view import SlotView
from tests.installation import Installation

PUNE = Visit("pune", "web", None)


def trials(shop: Installation, **query: str) -> float:
    answer = shop.banner("read", city="pune", explain="1", **query).json
    return float(sum(row["trials"] for row in answer["banners"]))


def clicks(shop: Installation) -> float:
    return float(sum(row["clicks"] for row in shop.banner("read", city="pune", explain="1").json["banners"]))


def serve(shop: Installation, times: int, city: str = "pune") -> list[str]:
    """Impressions; their tokens."""
    return [shop.banner(city=city).json["token"] for _ in range(times)]


def visit_from(city: str) -> Visit:
    return PUNE._replace(city=city)


def cell(shop: Installation, visit: Visit = PUNE, slot: str = "home") -> Cell:
    """What a request of this kind would be decided by now."""
    return shop.snapshot.cell(view(shop, slot), visit, shop.clock_us())


def view(shop: Installation, slot: str = "home") -> SlotView:
    found = shop.snapshot.view("shop", slot)
    assert found is not None
    return found


def teach(known: SlotView, trials: dict[str, float]) -> None:
    """Let every banner have this many trials in each of these cities, and no clicks."""
    total = np.zeros((3, *known.evidence.trials.shape))
    for city, count in trials.items():
        total[::2, known.evidence.cities[city]] = count
    known.evidence = known.history.evidence(total)


def add_slot(shop: Installation, slot: str) -> None:
    shop.store.put_slot("shop", Slot(slot))
    for number in (1, 2):
        shop.put_banner(f"b{number}", slot=slot)
    shop.store.put_seeds("shop", slot, "h", [Seed("h", "pune", "b1", 100, 10)])

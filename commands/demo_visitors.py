"""Who comes to the demo's shop: visitors of six cities of unequal size, most of them known customers."""

import random
from dataclasses import dataclass

from commands.demo_catalogue import SLOTS, TENANT

CITY_SHARES = {"mumbai": 0.28, "delhi": 0.24, "bengaluru": 0.18, "chennai": 0.12, "kolkata": 0.10, "pune": 0.08}
SLOT_SHARES = (0.55, 0.45)
"""Of the page views, in the order of SLOTS."""
CUSTOMERS = 40_000
KNOWN_SHARE = 0.8
"""Of the visitors: logged in, so the shop knows which customer it is."""
REFERRERS = ("direct", "search", "social", "newsletter")
REFERRER_SHARES = (0.4, 0.35, 0.15, 0.1)
VIEW_SHARE = 0.8
"""Of the impressions nobody clicks: scrolled far enough to be on screen."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a page with a slot on it."""

    slot: str
    city: str
    """As people write it, so one of several names."""
    customer_id: str | None
    referrer_id: str


class Crowd:
    """Draws visits."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names = {city: (city.title(), city.title(), *aliases) for city, aliases in TENANT.cities.items()}

    def visit(self) -> Visit:
        """The next one."""
        rng = self._rng
        city = rng.choices(*_split(CITY_SHARES))[0]
        slot = rng.choices(SLOTS, SLOT_SHARES)[0]
        customer = f"{city}-{rng.randrange(CUSTOMERS)}" if rng.random() < KNOWN_SHARE else None
        return Visit(slot.id, rng.choice(self._names[city]), customer, rng.choices(REFERRERS, REFERRER_SHARES)[0])

    def clicks(self, rate: float) -> bool:
        """Whether a visitor who clicks at this rate does."""
        return self._rng.random() < rate

    def looks(self) -> bool:
        """Whether a visitor who does not click sees the banner at all."""
        return self._rng.random() < VIEW_SHARE


def _split(shares: dict[str, float]) -> tuple[list[str], list[float]]:
    return list(shares), list(shares.values())

"""A shop that is told what was clicked, and asked through HTTP what it makes of that."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bandit.model import Seed
from tests.installation import Installation

ONE_IN_A_MILLION = 1e-6
FIVE_SD = 5.0
"""A normal value leaves five standard deviations in fewer than one case of a million."""

StartShop = Callable[..., Installation]


def teach(shop: Installation, *evidence: tuple[str, str, float, float]) -> None:
    """Make (city, banner, trials, clicks) known as history."""
    shop.store.put_seeds("shop", "home", "history", [Seed("history", *row) for row in evidence])
    refresh(shop)


def refresh(shop: Installation) -> None:
    """Let the snapshot read again, as it does for slots that somebody asks for."""
    shop.banner("read", explain="1")
    shop.refresh()


def explained(shop: Installation, city: str = "pune", **query: str) -> dict[str, dict[str, Any]]:
    """What explain=1 says of every banner, by banner."""
    answer = shop.banner("read", city=city, explain="1", **query).json
    return {row["banner"]: row for row in answer["banners"]}


def chances(shop: Installation, city: str = "pune") -> dict[str, float]:
    return {banner: row["probability"] for banner, row in explained(shop, city).items()}


def trials(shop: Installation, city: str = "pune") -> float:
    return float(sum(row["trials"] for row in explained(shop, city).values()))


def ask(shop: Installation, times: int, **query: str) -> list[dict[str, Any]]:
    return [shop.banner(**({"city": "pune"} | query)).json for _ in range(times)]


def share(answers: list[dict[str, Any]], banner: str) -> float:
    return [answer["banner"] for answer in answers].count(banner) / len(answers)


def five_sd(probability: float, times: int) -> float:
    return FIVE_SD * float(np.sqrt(probability * (1 - probability) / times))

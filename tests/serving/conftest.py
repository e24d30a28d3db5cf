"""What several tests of choices start."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bandit.model import Slot
from tests.installation import Installation
from tests.serving.taught_shop import StartShop


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartShop]:
    """`start(banners=3, **slot)` makes an installation whose slot `home` has these settings."""
    started: list[Installation] = []

    def make(*, banners: int = 3, seed: int = 1, **slot: Any) -> Installation:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(Installation(directory, slot=Slot("home", **slot), banners=banners, seed=seed))
        return started[-1]

    yield make
    for one in started:
        one.close()

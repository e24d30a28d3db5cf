"""A test of the hot calls runs through both entries, the door and Flask, and finds no difference."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends import Backend, Embedded
from tests.installation import Installation


class HotCalls:
    """What each such test has: `class TestThroughTheDoor(ThroughTheDoor, Calls)` runs those of `Calls(HotCalls)`."""

    door_first: bool

    @pytest.fixture
    def shop(self, tmp_path: Path, backend: Backend) -> Iterator[Installation]:
        installation = Installation(tmp_path, backend=backend)
        installation.app.door_first = self.door_first
        yield installation
        installation.close()


class ThroughTheDoor(HotCalls):
    """As under `app:application`."""

    door_first = True


class ThroughFlask(HotCalls):
    """As under any other entry."""

    door_first = False

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        """One is enough: behind the entry there is the same door."""
        return Embedded(tmp_path)

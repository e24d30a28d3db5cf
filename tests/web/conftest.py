"""What the tests of the HTTP side share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web import flask_side


@pytest.fixture
def side(tmp_path: Path) -> Iterator[flask_side.Side]:
    """An application over a store of its own; see flask_side."""
    made = flask_side.make(tmp_path)
    yield made
    made.close()

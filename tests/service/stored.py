"""What another program sees in the store's file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bandit.event import BannerEvent, decode


def events(store: Path) -> list[BannerEvent]:
    """All raw events, in the order in which they were taken."""
    with closing(sqlite3.connect(store)) as connection:
        return [decode(payload) for (payload,) in connection.execute("SELECT payload FROM events ORDER BY id")]

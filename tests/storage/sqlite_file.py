"""What the SQLite tests share: a look into the file from outside, and repeatable records."""

import random
import sqlite3
from pathlib import Path
from typing import Any

from bandit.event import decode
from storage.base import Record
from tests.storage.events import Log, Model, random_events

SLOTS = [(tenant, slot) for tenant in ("shop", "mall") for slot in ("home", "cart")]
"""Where random events happen."""


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """What another program sees in the file, or does to it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def stream(seed: int, impressions: int, journal: int) -> list[Record]:
    """The same records whenever and wherever it is called."""
    return Log(journal).records(*random_events(random.Random(seed), impressions))


def expected(records: list[Record]) -> Model:
    """What these records add up to, each taken once."""
    model = Model()
    for record in records:
        model.take(decode(record.payload))
    return model


def impressions(records: list[Record]) -> int:
    """How many of them count as served."""
    events = [decode(record.payload) for record in records]
    return sum(event.kind == "served" and event.verdict == "accepted" for event in events)

"""Messages for the intake, the intake itself, and what it journaled."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bandit.event import BannerEvent, decode
from bandit.model import Configuration, Slot, Tenant
from kafka_ingest.intake_events import Intake
from kafka_ingest.intake_message import IntakeDecoder
from kafka_ingest.registry import ShippedSchemas
from serving.keyring import Keyring
from serving.token import Token, impression_id, sign
from serving.verdict import Judge
from storage.journal import Journal
from storage.segment_files import find_segments
from storage.segments import read_all

KEYRING = Keyring({1: b"k" * 32}, 1, b"c" * 32)
NOW_US = 1_790_000_000_000_000
SECOND_US = 1_000_000
CONFIGURATION = Configuration(
    1, {"shop": Tenant("shop")}, {}, {("shop", "home"): Slot("home", attribution_window_seconds=3600)}, {}
)


def token(number: int = 1, *, age_us: int = 60 * SECOND_US, now_us: int = NOW_US, **changes: Any) -> str:
    """Of an impression so long ago."""
    served_at = now_us - age_us
    impression, place = impression_id(served_at, number), ("shop", "home", "pune", "sale")
    given = Token(impression, 20_000, 3, "learned", True, 0.25, b"customer", *place, referrer="mail")
    return sign(given._replace(**changes), KEYRING)


def message(text: str, kind: str = "click", received_us: int = NOW_US) -> bytes:
    return json.dumps({"kind": kind, "token": text, "time": received_us // 1000}).encode()


def events(directory: Path) -> list[BannerEvent]:
    """All that is journaled."""
    segments = [segment for journal in find_segments(directory).values() for segment in journal]
    return [decode(record.payload) for segment in segments for record in read_all(segment.path)]


@contextmanager
def intake(directory: Path, *, schemas: Any = None, now_us: int = NOW_US) -> Iterator[Intake]:
    journal = Journal.open(directory)
    judge = Judge(impressions_per_minute=1, clicks_per_minute=1, too_fast_us=10**12)
    decoder = IntakeDecoder(schemas or ShippedSchemas())
    try:
        yield Intake(decoder, KEYRING, judge, journal, lambda: CONFIGURATION, clock=lambda: now_us)
    finally:
        journal.close()

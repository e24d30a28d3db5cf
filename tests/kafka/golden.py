"""Events and the very bytes that stand for them in Kafka; other programs read them, so they never change."""

from pathlib import Path

from bandit.event import BannerEvent
from kafka_ingest.registry import FIRST_SHIPPED_ID
from tests.storage.events import clicked, served, viewed

NEWEST = 3
"""Of the shipped schemas, the one that events are written with."""
SHIPPED_ID = FIRST_SHIPPED_ID + NEWEST

_EVERYTHING = served(
    1,
    customer=b"\x00\x01customer",
    referrer="mail",
    would_be_banner="new",
    unrecognised_city="Poona",
    city="_other",
    platform="android",
    policy="holdout",
    shard=3,
    journal=2**62 + 5,
    sequence=70_000,
)
EVENTS: dict[str, BannerEvent] = {
    "served": served(1, journal=7, sequence=1),
    "everything": _EVERYTHING,
    "viewed": viewed(_EVERYTHING, sequence=70_001),
    "clicked": clicked(_EVERYTHING, verdict="too_fast", sequence=70_002),
}


def messages() -> dict[str, bytes]:
    """By `<number of the shipped schema>/<name of the event>`."""
    lines = Path(__file__).with_name("golden_messages.txt").read_text("ascii").splitlines()
    return {name: bytes.fromhex(text) for name, text in map(str.split, lines)}

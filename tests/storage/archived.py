"""Archives for tests, and what they hold."""

import random
from pathlib import Path

import pandas as pd

from bandit.event import BannerEvent
from storage.archive import ArchiveDirectory, Manifest, Stored
from tests.storage.events import random_events


def archive_of(path: Path, events: list[BannerEvent], *, pieces: int = 3, **manifest: object) -> ArchiveDirectory:
    """An archive of these events, stamped as of one journal where they are not, in several pieces."""
    archive = ArchiveDirectory(path)
    archive.create(Manifest(next_offset=len(events) + 1, **manifest))  # type: ignore[arg-type]
    stored = [Stored(number, stamped(number, event)) for number, event in enumerate(events, 1)]
    for piece in range(pieces):
        archive.write(f"piece-{piece}", stored[piece::pieces])
    return archive


def stamped(number: int, event: BannerEvent) -> BannerEvent:
    """With a place in a journal, unless it has one."""
    return event if event.sequence else event._replace(journal=7, sequence=number)


def some_events(impressions: int, seed: int = 1) -> list[BannerEvent]:
    """Random ones, with customers."""
    rng = random.Random(seed)
    events = random_events(rng, impressions)
    return [event._replace(customer=event.impression_id[-1:] * 8) for event in events]


def read(archive: ArchiveDirectory) -> pd.DataFrame:
    """As anybody would read it."""
    frame: pd.DataFrame = pd.read_parquet(archive.path)
    return frame

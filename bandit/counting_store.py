"""What counting stores, and what it asks of the store that keeps it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from bandit.event import BannerEvent
from bandit.received import JournalRanges

REFERRER, CITY = "referrer", "city"
"""Sorts of names."""


class Cell(NamedTuple):
    """A row of counts."""

    tenant: str
    slot: str
    day: int
    policy: str
    city: str
    banner: str


class ReferrerCell(NamedTuple):
    """A row of counts by referrer."""

    tenant: str
    slot: str
    day: int
    referrer: str
    banner: str


class CityName(NamedTuple):
    """A row of impressions whose city no configuration knows."""

    tenant: str
    name: str


class SampledSet(NamedTuple):
    """A row of impressions for which the same banners competed and `banner` was drawn."""

    tenant: str
    slot: str
    day: int
    eligible: str
    banner: str
    sort: str = "sampled set"
    """Tuples of the same strings are equal, whatever they are called; no banner's id has a space."""


class WouldBe(NamedTuple):
    """A row of impressions of a slot in shadow for which `banner` was drawn."""

    tenant: str
    slot: str
    day: int
    city: str
    banner: str
    sort: str = "would be"


Key = Cell | ReferrerCell | CityName | SampledSet | WouldBe


class Count(NamedTuple):
    """Cumulative numbers of one row, as of the record at `last_offset`."""

    served: int
    viewed: int
    clicks: int
    last_offset: int


class Sampled(NamedTuple):
    """The same of a SampledSet: impressions, and sum, sum of squares and largest of 1 / propensity."""

    decisions: int
    inverse: float
    squares: float
    largest: float
    last_offset: int


Value = Count | Sampled


class Claim(NamedTuple):
    """The record at `offset` wants to be the first view or click of an impression."""

    impression_id: bytes
    kind: str
    offset: int


class CountWrite(NamedTuple):
    """A row to store."""

    shard: int
    key: Key
    value: Value
    stamp_us: int


class NameWrite(NamedTuple):
    """A name that is counted as itself since the record at `first_offset`."""

    shard: int
    tenant: str
    sort: str
    """REFERRER or CITY."""
    name: str
    first_offset: int
    stamp_us: int


class Progress(NamedTuple):
    """How far a shard is counted."""

    next_offset: int
    journals: Mapping[int, JournalRanges]


class ProgressWrite(NamedTuple):
    """A progress to store: position and ranges in one statement."""

    shard: int
    progress: Progress
    stamp_us: int


class CountingStore(Protocol):
    """What counting asks of its store, for one epoch. Every call is retried as a whole when it fails, and may then have
    been carried out in part or in whole. Reads and acknowledgements are of a quorum; statements of one call may run at
    the same time."""

    def progress(self, shard: int) -> Progress | None:
        """None where there is no row; an error, never None, where it cannot be read."""

    def claim(self, claims: Sequence[Claim]) -> None:
        """Returns when all are acknowledged."""

    def owners(self, claims: Sequence[Claim]) -> Sequence[int]:
        """The lowest offset that claimed the same, for each."""

    def counts(self, shard: int, keys: Sequence[Key]) -> Sequence[Value | None]:
        """The rows of these keys, in their order."""

    def names(self, shard: int, tenant: str, sort: str) -> Mapping[str, int]:
        """Name -> first offset."""

    def write(self, counts: Sequence[CountWrite], names: Sequence[NameWrite], clicks: Sequence[BannerEvent]) -> None:
        """Returns when all are acknowledged."""

    def write_progress(self, progress: Sequence[ProgressWrite]) -> None:
        """Returns when all are acknowledged."""

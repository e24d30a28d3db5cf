"""The store contract. A back end that lacks a method cannot be made; the contract tests say what each one means.

Every method that touches one tenant's data takes `tenant` first. Absent is `None`, `False` or empty; unreachable is
`StoreUnavailable`. No driver exception leaves `storage/`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bandit.model import (
    ApiKey,
    Banner,
    ChangeRecord,
    ClickRow,
    Configuration,
    CountRow,
    ReferrerRow,
    SampledRow,
    Seed,
    SegmentRow,
    Slot,
    Tenant,
    WouldBeRow,
)


class StoreUnavailable(Exception):
    """The store cannot be reached or cannot be written now; the same call may succeed later."""


class Conflict(Exception):
    """The configuration was changed since it was read; nothing was written."""


class SchemaVersionError(Exception):
    """The store was written by a newer version of this software; waiting does not help."""


class MissingPackage(Exception):
    """What is chosen needs a package that is not installed; the message says how to install it."""


class Record(NamedTuple):
    """One journaled record."""

    shard: int
    payload: bytes
    """An Avro-encoded BannerEvent."""


class Refusal(NamedTuple):
    """A record that will never be taken, and why."""

    record: Record
    reason: str


class Changes(NamedTuple):
    """What was counted since a cursor."""

    cursor: int
    partitions: frozenset[tuple[str, str, int]] | None
    """(tenant, slot, day) whose counts changed; None where the back end cannot tell, so everything may have."""


class EventSink(ABC):
    """Where the drain delivers journaled records."""

    @abstractmethod
    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        """Take all records, in order, for good; return those that can never be taken.

        May be called again with records it already took (the drain was killed before it moved its mark): each
        counts once all the same, recognised by its journal and sequence. Refuses the accepted views and clicks whose
        claims may have been pruned: they might count a second time. Raises StoreUnavailable when nothing was
        taken and the batch should be tried again.
        """


class Store(ABC):
    """Configuration, seeds, counts and clicks of all tenants.

    A put_* with `expected_version` raises Conflict, and changes nothing, unless that is the configuration's version at
    the moment of writing. So whoever took the version first, then read, and passes it, overwrites no other's change.
    """

    @abstractmethod
    def configuration_version(self) -> int:
        """Grows with every change of configuration or seeds."""

    @abstractmethod
    def configuration(self) -> Configuration:
        """Everything but seeds, in one consistent read."""

    @abstractmethod
    def put_tenant(self, tenant: str, value: Tenant, *, expected_version: int | None = None) -> None:
        """Create or replace. Raises Conflict."""

    @abstractmethod
    def delete_tenant(self, tenant: str) -> bool:
        """Remove the tenant with its keys, slots, banners and seeds; counts and events stay, so its id is not free for
        another. False if absent."""

    @abstractmethod
    def tenant_was_used(self, tenant: str) -> bool:
        """Whether a tenant of this id was ever deleted or has counts (its id must not be reused)."""

    @abstractmethod
    def put_key(self, key: ApiKey, *, expected_version: int | None = None) -> None:
        """Create or replace. Raises Conflict."""

    @abstractmethod
    def delete_key(self, key_id: str) -> bool:
        """False if absent."""

    @abstractmethod
    def put_slot(self, tenant: str, slot: Slot, *, expected_version: int | None = None) -> None:
        """Create or replace. Raises Conflict."""

    @abstractmethod
    def delete_slot(self, tenant: str, slot: str) -> bool:
        """Remove the slot with its banners and seeds; its counts stay, so its id is not free for another. False if
        absent."""

    @abstractmethod
    def slot_was_used(self, tenant: str, slot: str) -> bool:
        """Whether a slot of this id was ever deleted here or has counts (its id must not be reused)."""

    @abstractmethod
    def put_banner(self, tenant: str, banner: Banner, *, expected_version: int | None = None) -> None:
        """Create or replace. Raises Conflict."""

    @abstractmethod
    def delete_banner(self, tenant: str, slot: str, banner: str) -> bool:
        """Remove the banner; its counts stay, so its id is not free for another. False if absent."""

    @abstractmethod
    def banner_was_used(self, tenant: str, slot: str, banner: str) -> bool:
        """Whether a banner of this id was ever deleted here or has counts (its id must not be reused)."""

    @abstractmethod
    def seeds(self, tenant: str, slot: str) -> list[Seed]:
        """All seeds of a slot."""

    @abstractmethod
    def put_seeds(self, tenant: str, slot: str, seed_id: str, seeds: Iterable[Seed]) -> None:
        """Make these the seeds of seed_id, all or nothing; the same call twice changes nothing."""

    @abstractmethod
    def delete_seeds(self, tenant: str, slot: str, seed_id: str) -> int:
        """How many were removed."""

    @abstractmethod
    def counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        """Cumulative counts of the days first_day..last_day, both included."""

    @abstractmethod
    def daily_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        """The same with all cities together (ALL_CITIES); no cell is cut to clicks <= views <= served before."""

    @abstractmethod
    def referrer_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[ReferrerRow]:
        """The same by referrer."""

    @abstractmethod
    def sampled(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[SampledRow]:
        """Accepted impressions of these days for which banners competed, the ones in shadow included; perhaps several
        rows of the same day, set and banner."""

    @abstractmethod
    def would_be(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[WouldBeRow]:
        """Accepted impressions of these days that were served in shadow; perhaps several rows of the same place."""

    @abstractmethod
    def changes(self, cursor: int) -> Changes:
        """Which counts changed since a cursor of an earlier call (0: ever). Where the back end cannot tell, another
        cursor than before means that it counts anew: whatever was read may differ."""

    @abstractmethod
    def clicks(self, tenant: str, city: str, day: int, *, limit: int | None = None) -> list[ClickRow]:
        """Accepted clicks on impressions served in this city on this day, by time of receipt; the latest
        `limit` of them, or all."""

    @abstractmethod
    def unrecognised_cities(self, tenant: str) -> list[tuple[str, int]]:
        """City names no configuration knows, with the impressions that carried them, most first."""

    @abstractmethod
    def put_segments(
        self, tenant: str, run: int, members: Iterable[tuple[bytes, str]], counts: Iterable[tuple[str, SegmentRow]]
    ) -> None:
        """Replace the segments of the tenant's customers: (customer hash, segment), and (slot, counts) of each segment.
        Readers see the old ones until all is written. `run` grows from one call to the next."""

    @abstractmethod
    def customer_segments(self, tenant: str) -> Iterator[tuple[bytes, str]]:
        """(customer hash, segment) of every customer who has one, in no order."""

    @abstractmethod
    def segment_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[SegmentRow]:
        """What was counted of each segment on the days first_day..last_day, both included."""

    @abstractmethod
    def record_change(self, tenant: str | None, record: ChangeRecord) -> None:
        """Add a line to the tenant's audit log, or to that of the operators (None). Lines are never changed, and stay
        when the tenant is deleted."""

    @abstractmethod
    def recorded_changes(self, tenant: str | None, *, limit: int) -> list[ChangeRecord]:
        """The latest lines of this audit log, latest first; of the same microsecond the one added last comes first."""

    @abstractmethod
    def forget_customer(self, tenant: str, customer: bytes) -> int:
        """Erase this customer hash from clicks, events and segments; how many rows were touched. Counts stay."""

    @abstractmethod
    def oldest(self) -> tuple[int | None, int | None]:
        """When the oldest raw event was received, and when the impression of the oldest claim was served (microseconds
        since 1970 UTC); None where there is none to prune."""

    @abstractmethod
    def prune(self, *, events_before: int, claims_before: int, limit: int) -> int:
        """Remove at most `limit` raw events received, and as many claims of impressions served, before these times
        (microseconds since 1970 UTC); how many were removed. Counts and clicks stay.

        The latest claims_before is remembered, and views and clicks of impressions served before it are refused by
        the sink from then on.
        """

    @abstractmethod
    def check_version(self) -> None:
        """Raise SchemaVersionError when a newer release wrote it, StoreUnavailable when it cannot be used."""

    @abstractmethod
    def close(self) -> None:
        """Release connections; the store is not used again."""


class LogProgress(ABC):
    """How far consumers have counted: for stores whose counts come from a log."""

    @abstractmethod
    def counted_until(self, shards: int) -> list[int]:
        """For each of so many shards when the latest impression was served that is counted from it, or its view or
        click (microseconds since 1970 UTC); 0 where nothing is."""

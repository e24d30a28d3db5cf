"""One tenant from the embedded store into Cassandra, and the proof that it is all there."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from bandit.model import ClickRow
from storage.base import Store
from storage.cassandra_import import CassandraImport
from storage.sqlite_export import SqliteExport

Say = Callable[[str], object]
Item = TypeVar("Item")

BATCH = 5_000
"""Rows between two signs of life."""


class NotCopied(Exception):
    """What is in Cassandra afterwards is not what was to be copied; the message says what differs."""


def copy_tenant(
    tenant: str, source: Store, export: SqliteExport, target: Store, into: CassandraImport, say: Say
) -> None:
    """The tenant itself comes last: as long as it is not there nobody sees the rest, and nothing is lost by doing all
    of it again. Raises NotCopied, StoreUnavailable."""
    _copy_counts(tenant, source, export, into, say)
    _copy_configuration(tenant, source, target)
    into.retired(export.retired(tenant))
    known = source.configuration()
    differences = list(_differences(tenant, source, export, target))
    if differences:
        raise NotCopied(f"{tenant} differs after the copy, and is not shown: {'; '.join(differences)}")
    for key in known.keys.values():
        if key.tenant == tenant:
            target.put_key(key)
    target.put_tenant(tenant, known.tenants[tenant])
    if target.configuration().tenants.get(tenant) != known.tenants[tenant]:
        raise NotCopied(f"{tenant} was changed by somebody while it was copied")


def copy_claims(export: SqliteExport, into: CassandraImport, served_since_us: int, say: Say) -> int:
    """How many there were. Raises StoreUnavailable."""
    claims = export.claims(served_since_us)
    for done, some in _batches(claims):
        into.claims(some)
        say(f"claims: {done:,} of {len(claims):,}")
    return len(claims)


def _copy_counts(tenant: str, source: Store, export: SqliteExport, into: CassandraImport, say: Say) -> None:
    for slot, first_day, last_day in export.counted_slots(tenant):
        counts = source.counts(tenant, slot, first_day, last_day)
        for done, some in _batches(counts):
            into.counts(slot, some)
            say(f"{tenant}, {slot}: {done:,} of {len(counts):,} counts")
        for _, referrers in _batches(source.referrer_counts(tenant, slot, first_day, last_day)):
            into.referrer_counts(slot, referrers)
        days = (tenant, slot, first_day, last_day)
        for _, sampled in _batches(source.sampled(*days)):
            into.draws(slot, sampled, [])
        into.draws(slot, [], source.would_be(*days))
    into.unrecognised_cities(source.unrecognised_cities(tenant))
    clicks = export.clicks(tenant)
    for done, batch in _batches(clicks):
        into.clicks(batch)
        say(f"{tenant}: {done:,} of {len(clicks):,} clicks")


def _copy_configuration(tenant: str, source: Store, target: Store) -> None:
    known = source.configuration()
    for (owner, slot_id), slot in known.slots.items():
        if owner == tenant:
            target.put_slot(tenant, slot)
            for banner in known.banners[owner, slot_id].values():
                target.put_banner(tenant, banner)
            by_id = defaultdict(list)
            for seed in source.seeds(tenant, slot_id):
                by_id[seed.seed_id].append(seed)
            for seed_id, seeds in by_id.items():
                target.put_seeds(tenant, slot_id, seed_id, seeds)


def _differences(tenant: str, source: Store, export: SqliteExport, target: Store) -> Iterator[str]:
    """What is not the same on both sides."""
    yield from _different_counts(tenant, source, export, target)
    for owner, slot in source.configuration().slots:
        if owner == tenant and sorted(source.seeds(tenant, slot)) != sorted(target.seeds(tenant, slot)):
            yield f"seeds of {slot}"
    if source.unrecognised_cities(tenant) != target.unrecognised_cities(tenant):
        yield "unrecognised cities"
    yield from _different_clicks(tenant, export, target)


def _different_counts(tenant: str, source: Store, export: SqliteExport, target: Store) -> Iterator[str]:
    for slot, first_day, last_day in export.counted_slots(tenant):
        days = (tenant, slot, first_day, last_day)
        if sorted(source.counts(*days)) != sorted(target.counts(*days)):
            yield f"counts of {slot}"
        if sorted(source.referrer_counts(*days)) != sorted(target.referrer_counts(*days)):
            yield f"counts by referrer of {slot}"
        if sorted(source.sampled(*days)) != sorted(target.sampled(*days)):
            yield f"draws of {slot}"
        if sorted(source.would_be(*days)) != sorted(target.would_be(*days)):
            yield f"draws in shadow of {slot}"


def _different_clicks(tenant: str, export: SqliteExport, target: Store) -> Iterator[str]:
    clicks: dict[tuple[str, int], set[ClickRow]] = defaultdict(set)
    for day, click in export.clicks(tenant):
        clicks[click.city, day].add(click)
    for (city, day), expected in clicks.items():
        if expected != set(target.clicks(tenant, city, day)):
            yield f"clicks in {city} on day {day}"


def _batches(items: Sequence[Item]) -> Iterator[tuple[int, Sequence[Item]]]:
    """(how many by then, the next ones)."""
    for start in range(0, len(items), BATCH):
        some = items[start : start + BATCH]
        yield start + len(some), some

"""How a log becomes counts exactly once, whatever crashes, comes late or comes again; no clock and no driver.

Everything stored is a pure function of a prefix of the log of its shard, stamped with the end of that prefix; the store
keeps the higher stamp. So a replay, a retry, or a consumer that does not know it was replaced can only write the truth
or what is already superseded. docs/counting.md gives the rules and why each is needed.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from bandit.counting_store import (
    CITY,
    REFERRER,
    Cell,
    CityName,
    Claim,
    Count,
    CountingStore,
    CountWrite,
    Key,
    NameWrite,
    Progress,
    ProgressWrite,
    ReferrerCell,
    Sampled,
    SampledSet,
    Value,
    WouldBe,
)
from bandit.event import BannerEvent, Draw, Increments, draw, increments
from bandit.model import MAX_REFERRERS, OTHER, UNKNOWN, Kind, Verdict
from bandit.received import ReceivedRanges

MAX_CITY_NAMES = 1_000
"""Unrecognised cities counted by name for one tenant in one shard; names that come later are not listed."""
MAX_ROWS = 100_000
"""Rows kept in memory between flushes, and as many places that lead to them."""

_MOST_NAMES = {REFERRER: MAX_REFERRERS, CITY: MAX_CITY_NAMES}
# Looking up a member of an enum costs more than comparing it in Python 3.11.
_ACCEPTED, _SERVED, _VIEWED, _CLICKED = Verdict.ACCEPTED.value, Kind.SERVED.value, Kind.VIEWED.value, Kind.CLICKED.value


def refusal(event: BannerEvent, shard: int) -> str | None:
    """Why this event can never be counted from this shard's log, if so."""
    if event.journal < 1 or event.sequence < 1:
        return "the event lacks the journal id and sequence that tell it from a repetition"
    if event.shard != shard:
        return f"the event belongs to shard {event.shard}; its claims would be compared with offsets of another log"
    return None


class _Row:
    """One row in memory."""

    __slots__ = ("clicks", "is_dirty", "last_offset", "served", "viewed")

    def __init__(self, count: Count | None, position: int) -> None:
        self.served, self.viewed, self.clicks, self.last_offset = count or (0, 0, 0, -1)
        # Ahead of the position: perhaps on one replica only, and progress must never pass that.
        self.is_dirty = self.last_offset >= position

    def add(self, counted: "_Counted") -> None:
        """Unless the row has it already."""
        offset, _, added, *_ = counted
        if offset > self.last_offset:
            self.served += added.served
            self.viewed += added.viewed
            self.clicks += added.clicks
            self.last_offset = offset
            self.is_dirty = True

    def value(self) -> Count:
        return Count(self.served, self.viewed, self.clicks, self.last_offset)


class _SampledRow:
    """The same of what was drawn. Sums in the order of the log are the same for everybody to the last bit."""

    __slots__ = ("decisions", "inverse", "is_dirty", "largest", "last_offset", "squares")

    def __init__(self, stored: Sampled | None, position: int) -> None:
        self.decisions, self.inverse, self.squares, self.largest, self.last_offset = stored or (0, 0.0, 0.0, 0.0, -1)
        self.is_dirty = self.last_offset >= position

    def add(self, counted: "_Counted") -> None:
        if counted.draw is not None and counted.offset > self.last_offset:
            inverse = counted.draw.inverse
            self.decisions += 1
            self.inverse += inverse
            self.squares += inverse * inverse
            self.largest = max(self.largest, inverse)
            self.last_offset = counted.offset
            self.is_dirty = True

    def value(self) -> Sampled:
        return Sampled(self.decisions, self.inverse, self.squares, self.largest, self.last_offset)


def _row(key: Key, stored: Value | None, position: int) -> _Row | _SampledRow:
    if isinstance(key, SampledSet):
        assert stored is None or isinstance(stored, Sampled)
        return _SampledRow(stored, position)
    assert stored is None or isinstance(stored, Count)
    return _Row(stored, position)


Place = tuple[object, str | None, str | None, object]
"""All that says which rows an event counts in: event[PLACE], its referrer, and, where they count, its unrecognised city
and the banners that competed, with the one drawn in shadow."""
PLACE = slice(BannerEvent._fields.index("tenant"), BannerEvent._fields.index("day") + 1)


class _Counted(NamedTuple):
    """A record that counts."""

    offset: int
    event: BannerEvent
    added: Increments
    place: Place
    draw: Draw | None


class _Shard:
    """What a consumer knows of one shard; forgotten as a whole when it is revoked or lost."""

    def __init__(self, number: int, progress: Progress) -> None:
        self.number = number
        self.position = progress.next_offset
        self.stored_position = -1
        self.received = ReceivedRanges(progress.journals)
        self.taken: list[tuple[int, BannerEvent]] = []
        self.taken_position = self.position
        self.rows: dict[Key, _Row | _SampledRow] = {}
        self.places: dict[Place, list[_Row | _SampledRow]] = {}
        """The rows of each place. They stay: a name that is counted as itself, or as another, is so for good."""
        self.names: dict[tuple[str, str], dict[str, int]] = {}
        self.new_names: list[tuple[str, str, str, int]] = []
        self.clicks: list[BannerEvent] = []

    def take(self, records: Iterable[tuple[int, BannerEvent]], next_offset: int) -> int:
        """How many were not received before."""
        take = self.received.take
        new = [(offset, event) for offset, event in records if take(event.journal, event.sequence, event.served_at)]
        self.taken += [(offset, event) for offset, event in new if event.verdict == _ACCEPTED]
        self.taken_position = next_offset
        return len(new)

    def is_named(self, tenant: str, sort: str, name: str, offset: int) -> bool:
        """Whether a name is counted as itself; the first ones of a tenant are, for good."""
        known = self.names[tenant, sort]
        if name in known:
            return True
        if len(known) >= _MOST_NAMES[sort]:
            return False
        known[name] = offset
        self.new_names.append((tenant, sort, name, offset))
        return True

    def keys(self, counted: _Counted) -> Iterable[Key]:
        """The rows an event counts in. The names of its tenant are loaded."""
        offset, event, _, (_, referrer, city, _), drawn = counted
        tenant, slot, day = event.tenant, event.slot, event.day
        yield Cell(tenant, slot, day, event.policy, event.city, event.banner)
        if referrer is None:
            referrer = UNKNOWN
        elif not self.is_named(tenant, REFERRER, referrer, offset):
            referrer = OTHER
        yield ReferrerCell(tenant, slot, day, referrer, event.banner)
        if city is not None and self.is_named(tenant, CITY, city, offset):
            yield CityName(tenant, city)
        if drawn is not None:
            yield SampledSet(tenant, slot, day, drawn.eligible, drawn.banner)
            if event.would_be_banner is not None:
                yield WouldBe(tenant, slot, day, event.city, event.would_be_banner)


class Counting:
    """What one consumer counts of one epoch: the shards it was assigned.

    For each shard: `start`, then `take` and `settle` again and again, and now and then `flush`; `forget` when it is
    revoked or lost. `settle` and `flush` raise what the store raises, and are then called again until they succeed.
    """

    def __init__(self, store: CountingStore, started_us: int) -> None:
        """`started_us` is when the epoch was made, as stored once and for all: the base of all stamps."""
        self._store = store
        self._started_us = started_us
        self._shards: dict[int, _Shard] = {}

    def start(self, shard: int, start_offset: int) -> int:
        """Begin anew with what is stored, or at `start_offset` where nothing is; the offset to read on from."""
        self.forget([shard])
        progress = self._store.progress(shard) or Progress(start_offset, {})
        self._shards[shard] = _Shard(shard, progress)
        return progress.next_offset

    def forget(self, shards: Iterable[int]) -> None:
        """Forget everything known of these shards."""
        for shard in shards:
            self._shards.pop(shard, None)

    def take(self, shard: int, records: Sequence[tuple[int, BannerEvent]], next_offset: int) -> int:
        """Take (offset, event) pairs that have no `refusal`, up to next_offset; how many of them came again."""
        return len(records) - self._shards[shard].take(records, next_offset)

    def settle(self) -> None:
        """Find out what the taken records count, and count it."""
        shards = [shard for shard in self._shards.values() if shard.taken_position > shard.position]
        won = self._claim([claim for shard in shards for claim in _claims(shard.taken)])
        counted = {shard.number: list(_counted(shard.taken, won)) for shard in shards}
        for shard in shards:
            self._load_places(shard, counted[shard.number])
        for shard in shards:
            _apply(shard, counted[shard.number])

    def flush(self) -> dict[int, int]:
        """Store everything; the offsets to go on from, by shard. Not while records are taken and not settled."""
        shards = list(self._shards.values())
        assert all(shard.position == shard.taken_position for shard in shards), "settle first"
        self._write_counts(shards)
        moved = [shard for shard in shards if shard.position != shard.stored_position]
        self._write_progress(moved)
        return {shard.number: shard.position for shard in moved}

    def _claim(self, claims: list[Claim]) -> set[Claim]:
        """Those that won: no record with a lower offset claims the same. All are inserted before any is looked up."""
        if not claims:
            return set()
        self._store.claim(claims)
        owners = self._store.owners(claims)
        return {claim for claim, owner in zip(claims, owners, strict=True) if owner == claim.offset}

    def _load_places(self, shard: _Shard, counted: list[_Counted]) -> None:
        """The rows of the places that were not seen yet, in the order of the log: that decides which names count."""
        known, new = shard.places, dict[Place, _Counted]()
        for one in counted:
            if one.place not in known:
                new.setdefault(one.place, one)
        self._load_names(shard, new.values())
        keys = {place: [*shard.keys(one)] for place, one in new.items()}
        self._load_rows(shard, chain.from_iterable(keys.values()))
        known.update({place: [shard.rows[key] for key in several] for place, several in keys.items()})

    def _load_names(self, shard: _Shard, counted: Collection[_Counted]) -> None:
        """The names that the records before these have registered; what comes later registers itself again."""
        pairs = ((REFERRER, event.referrer, event.tenant) for _, event, *_ in counted)
        cities = ((CITY, event.unrecognised_city, event.tenant) for _, event, *_ in counted)
        wanted = {(tenant, sort) for sort, name, tenant in chain(pairs, cities) if name is not None}
        for tenant, sort in sorted(wanted - shard.names.keys()):
            stored = self._store.names(shard.number, tenant, sort)
            shard.names[tenant, sort] = {name: first for name, first in stored.items() if first < shard.position}

    def _load_rows(self, shard: _Shard, keys: Iterable[Key]) -> None:
        missing = list({key: None for key in keys if key not in shard.rows})
        if missing:
            counts = self._store.counts(shard.number, missing)
            for key, count in zip(missing, counts, strict=True):
                shard.rows[key] = _row(key, count, shard.position)

    def _write_counts(self, shards: list[_Shard]) -> None:
        dirty = [(shard, key, row) for shard in shards for key, row in shard.rows.items() if row.is_dirty]
        counts = [
            CountWrite(shard.number, key, row.value(), self._started_us + row.last_offset) for shard, key, row in dirty
        ]
        names = [
            NameWrite(shard.number, *name, self._started_us + name[-1]) for shard in shards for name in shard.new_names
        ]
        self._store.write(counts, names, [click for shard in shards for click in shard.clicks])
        for _, _, row in dirty:
            row.is_dirty = False
        for shard in shards:
            shard.new_names, shard.clicks = [], []
        if sum(len(shard.rows) + len(shard.places) for shard in shards) > 2 * MAX_ROWS:
            for shard in shards:
                shard.rows, shard.places = {}, {}

    def _write_progress(self, shards: list[_Shard]) -> None:
        self._store.write_progress(
            [
                ProgressWrite(
                    shard.number,
                    Progress(shard.position, shard.received.stored()),
                    self._started_us + shard.position - 1,
                )
                for shard in shards
            ]
        )
        for shard in shards:
            shard.stored_position = shard.position


def _claims(taken: Iterable[tuple[int, BannerEvent]]) -> Iterable[Claim]:
    """A click claims the view too. Where it loses the click, the winner has claimed the view with a lower offset."""
    for offset, event in taken:
        if event.kind == _SERVED:
            continue
        yield Claim(event.impression_id, _VIEWED, offset)
        if event.kind == _CLICKED:
            yield Claim(event.impression_id, _CLICKED, offset)


def _counted(taken: Iterable[tuple[int, BannerEvent]], won: set[Claim]) -> Iterable[_Counted]:
    for offset, event in taken:
        is_feedback = event.kind != _SERVED
        first_view = is_feedback and (event.impression_id, _VIEWED, offset) in won
        first_click = is_feedback and (event.impression_id, _CLICKED, offset) in won
        added = increments(event, first_view=first_view, first_click=first_click)
        if any(added):
            city = event.unrecognised_city if added.served else None
            drawn = draw(event) if added.served else None
            competing = drawn and (drawn.eligible, event.would_be_banner)
            yield _Counted(offset, event, added, (event[PLACE], event.referrer, city, competing), drawn)


def _apply(shard: _Shard, counted: list[_Counted]) -> None:
    for one in counted:
        for row in shard.places[one.place]:
            row.add(one)
        if one.added.clicks:
            shard.clicks.append(one.event)
    shard.taken, shard.position = [], shard.taken_position

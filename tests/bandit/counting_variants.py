"""The counting with one rule broken, a class for each; `least_wrong` is the share of worlds it must get wrong."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import bandit.counting
import bandit.received
from bandit.counting import Counting
from bandit.counting_store import REFERRER, Cell, CityName, Claim, Progress, ProgressWrite, SampledSet, WouldBe
from bandit.event import BannerEvent
from bandit.received import HOUR_US, Received
from tests.bandit.counting_log import REFERRERS_NAMED, Expected, expected, random_log
from tests.bandit.counting_process import ModelStore, Process
from tests.bandit.counting_world import SHARD, Unavailable, World


@dataclass(frozen=True)
class Variant:
    """A way to count, and how often it has to be wrong."""

    name: str
    least_wrong: float = 0.0
    store: type[ModelStore] = ModelStore
    counting: type[Counting] = Counting
    process: type[Process] = Process
    replaced: dict[tuple[Any, str], Any] = field(default_factory=dict)
    """(module, name) -> what stands for it."""

    @contextmanager
    def active(self) -> Iterator[Callable[[World], Process]]:
        """How its processes are made."""
        made = type("VariantProcess", (self.process,), {"store_class": self.store, "counting_class": self.counting})
        most_names = {**bandit.counting._MOST_NAMES, REFERRER: REFERRERS_NAMED}
        with ExitStack() as stack:
            stack.enter_context(patch.object(bandit.counting, "_MOST_NAMES", most_names))
            for (module, name), value in self.replaced.items():
                stack.enter_context(patch.object(module, name, value))
            yield made

    def is_wrong(self, seed: int) -> bool:
        """Whether some quorum says in the end what the log does not."""
        with self.active() as make_process:
            log = random_log(random.Random(seed))
            world = World(seed, log, make_process)
            world.run()
        want = expected(log)
        return any(_found(state) != want for state in world.replicas.final_states())


def _found(state: dict[Any, tuple[int, Any]]) -> Expected:
    found = Expected({}, {}, {}, {}, {})
    for key, (_, value) in state.items():
        if key[0] == "click":
            found.clicks[key[1]] = value
        if key[0] != "count":
            continue
        cell = key[2]
        if isinstance(cell, SampledSet | WouldBe):
            found.draws[cell] = value[:-1]
            continue
        if isinstance(cell, CityName):
            found.cities[tuple(cell)] = value.served
            continue
        for column, number in zip(("served", "viewed", "clicked"), value[:3], strict=True):
            if number:
                (found.cells if isinstance(cell, Cell) else found.by_referrer)[(*cell, column)] = number
    return found


# Rule 2: retried until acknowledged; rows before progress; position and ranges as of the flush's start, in one row


class ClaimsTriedOnce(ModelStore):
    def claim(self, claims: Sequence[Claim]) -> None:
        with suppress(Unavailable):
            super().claim(claims)


class RowsTriedOnce(ModelStore):
    def write(self, *writes: Any) -> None:
        with suppress(Unavailable):
            super().write(*writes)


class ProgressFirst(Counting):
    def flush(self) -> dict[int, int]:
        self._write_progress(list(self._shards.values()))
        return super().flush()


class PositionOfTheEnd(Counting):
    """More records are counted while the rows are being written."""

    feed: Callable[[], None]

    def _write_progress(self, shards: Any) -> None:
        self.feed()
        super()._write_progress(list(self._shards.values()))


class FeedsDuringFlush(Process):
    def __post_init__(self) -> None:
        super().__post_init__()
        assert isinstance(self.counting, PositionOfTheEnd)
        self.counting.feed = self.take_batch


class RangesInAnotherRow(ModelStore):
    def progress(self, shard: int) -> Progress | None:
        super().progress(shard)
        position = self.read(lambda key: key == ("position", shard))
        ranges = self.read(lambda key: key == ("ranges", shard))
        if not position:
            return None
        return Progress(position["position", shard][1], ranges["ranges", shard][1] if ranges else {})

    def write_progress(self, progress: Sequence[ProgressWrite]) -> None:
        for _, one, stamp_us in progress:
            rows = (("position", SHARD), stamp_us, one.next_offset), (("ranges", SHARD), stamp_us, one.journals)
            self.write_all(rows)


# Rule 3: forget on loss; progress that cannot be read is read again


class RemembersRows(Counting):
    def start(self, shard: int, start_offset: int) -> int:
        old = self._shards.get(shard)
        position = super().start(shard, start_offset)
        if old is not None:
            self._shards[shard].rows, self._shards[shard].received = old.rows, old.received
        return position

    def forget(self, shards: Any) -> None:
        """Not at all."""


class TrustsKafka(Process):
    def start(self) -> int:
        try:
            return super().start()
        except Unavailable:
            self.counting._shards[SHARD] = bandit.counting._Shard(SHARD, Progress(self.world.committed, {}))
            return self.world.committed


# Rule 4: owning offsets, the guard, quorum reads, stamps from offsets, commit after the flush, ranges


class SeenMarks(ModelStore):
    def claim(self, claims: Sequence[Claim]) -> None:
        self._seen = [self._owner(claim) >= 0 for claim in claims]
        super().claim(claims)

    def owners(self, claims: Sequence[Claim]) -> Sequence[int]:
        return [-1 if seen else claim.offset for claim, seen in zip(claims, self._seen, strict=True)]


class Unguarded(bandit.counting._Row):
    def add(self, counted: bandit.counting._Counted) -> None:
        before, self.last_offset = self.last_offset, -1
        super().add(counted)
        self.last_offset = max(before, counted.offset)


class OneReplica(ModelStore):
    replicas_read = 1


class WallClock(ModelStore):
    def stamp(self, stamp_us: int) -> int:
        return self.world.step


class CommitsFirst(Process):
    def start(self) -> int:
        super().start()
        shard = self.counting._shards[SHARD]
        shard.position = shard.taken_position = self.world.committed
        return self.world.committed

    def flush(self) -> None:
        self.world.committed = self.position
        super().flush()


class HighestOnly(Received):
    def take(self, sequence: int) -> bool:
        is_new = sequence > self.highest
        self.highest = max(self.highest, sequence)
        return is_new


# Rules 6 and 7


class ShortClaims(ModelStore):
    claim_ttl_steps = 150


class DaysByTheZoneOfNow(Counting):
    """The tenant's zone is edited while the world goes on; one impression in four was served near midnight."""

    def take(self, shard: int, records: Sequence[tuple[int, BannerEvent]], next_offset: int) -> int:
        assert isinstance(self._store, ModelStore)
        shift = int(self._store.world.step > 250)
        dated = [
            (offset, event._replace(day=event.day + shift) if event.impression_id[-1] % 4 == 0 else event)
            for offset, event in records
        ]
        return super().take(shard, dated, next_offset)


class StampsFromConsumerStart(Process):
    def started_us(self) -> int:
        return self.world.step if hasattr(self.world, "processes") else 0


CORRECT = Variant("correct")
BROKEN = [
    Variant("claims are tried once", 0.15, store=ClaimsTriedOnce),
    Variant("rows are tried once", 0.17, store=RowsTriedOnce),
    Variant("progress before rows", 0.235, counting=ProgressFirst),
    Variant("position of the flush's end", 0.285, counting=PositionOfTheEnd, process=FeedsDuringFlush),
    Variant("ranges in another row than the position", 0.095, store=RangesInAnotherRow),
    Variant("rows are remembered after a loss", 0.15, counting=RemembersRows),
    Variant("unreadable progress replaced by Kafka's offset", 0.475, process=TrustsKafka),
    Variant("seen marks instead of owning offsets", 0.475, store=SeenMarks),
    Variant("no guard by last_offset", 0.49, replaced={(bandit.counting, "_Row"): Unguarded}),
    Variant("one replica is read", 0.48, store=OneReplica),
    Variant("stamps from the wall clock", 0.29, store=WallClock),
    Variant("commit before the flush", 0.375, process=CommitsFirst),
    Variant("the highest sequence instead of ranges", 0.485, replaced={(bandit.received, "Received"): HighestOnly}),
    Variant("journals are forgotten too early", 0.495, replaced={(bandit.received, "IDLE_US"): 24 * HOUR_US}),
    Variant("claims live too short", 0.5, store=ShortClaims),
    Variant("days by the zone of now", 0.08, counting=DaysByTheZoneOfNow),
    Variant("stamps from the consumer's start", 0.115, process=StampsFromConsumerStart),
]

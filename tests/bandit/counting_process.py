"""A consumer of the small world and its store, which runs the real Counting."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from bandit.counting import Counting
from bandit.counting_store import Claim, CountWrite, Key, NameWrite, Progress, ProgressWrite
from bandit.event import BannerEvent
from tests.bandit.counting_replicas import QUORUM, Cell
from tests.bandit.counting_world import CALM, MAX_STEPS, SHARD, Scheduled, Unavailable, World


class ModelStore:
    """The CountingStore of one process; variants change single methods."""

    claim_ttl_steps = MAX_STEPS
    replicas_read = QUORUM

    def __init__(self, world: World, process: Scheduled) -> None:
        self.world = world
        self.process = process

    def progress(self, shard: int) -> Progress | None:
        if self.world.rng.random() < self.world.faults.failed_start:
            raise Unavailable
        found = self.read(lambda key: key == ("progress", shard))
        return next((value for _, value in found.values()), None)

    def claim(self, claims: Sequence[Claim]) -> None:
        self.write_all([(("claim", *claim), 0, self.world.step) for claim in claims])

    def owners(self, claims: Sequence[Claim]) -> Sequence[int]:
        return [self._owner(claim) for claim in claims]

    def _owner(self, claim: Claim) -> int:
        found = self.read(lambda key: key[:3] == ("claim", claim.impression_id, claim.kind))
        oldest = self.world.step - self.claim_ttl_steps
        return min((key[3] for key, (_, written_step) in found.items() if written_step >= oldest), default=-1)

    def counts(self, shard: int, keys: Sequence[Key]) -> Sequence[Any]:
        return [self._count(("count", shard, key)) for key in keys]

    def _count(self, wanted: Any) -> Any:
        found = self.read(lambda key: key == wanted)
        return found[wanted][1] if found else None

    def names(self, shard: int, tenant: str, sort: str) -> dict[str, int]:
        found = self.read(lambda key: key[:4] == ("name", shard, tenant, sort))
        return {key[4]: first for key, (_, first) in found.items()}

    def write(self, counts: Sequence[CountWrite], names: Sequence[NameWrite], clicks: Sequence[BannerEvent]) -> None:
        writes: list[tuple[Any, int, Any]] = [
            (("count", one.shard, one.key), one.stamp_us, one.value) for one in counts
        ]
        writes += [(("name", *one[:4]), one.stamp_us, one.first_offset) for one in names]
        writes += [(("click", one.impression_id), 0, (one.city, one.banner, one.received_at)) for one in clicks]
        self.write_all(writes)

    def write_progress(self, progress: Sequence[ProgressWrite]) -> None:
        self.write_all([(("progress", one.shard), one.stamp_us, one.progress) for one in progress])

    def stamp(self, stamp_us: int) -> int:
        return stamp_us

    def write_all(self, writes: Sequence[tuple[Any, int, Any]]) -> None:
        """All of them in any order, whatever becomes of the others."""
        shuffled = self.world.rng.sample(writes, len(writes))
        done = [self.world.write(self.process, key, self.stamp(stamp), value) for key, stamp, value in shuffled]
        if not all(done):
            raise Unavailable

    def read(self, matches: Callable[[Any], bool]) -> dict[Any, Cell]:
        return self.world.read(self.process, matches, self.replicas_read)


class Process(Scheduled):
    """One consumer process: what kafka_ingest.consumer does, on the same Counting."""

    store_class: ClassVar[type[ModelStore]] = ModelStore
    counting_class: ClassVar[type[Counting]] = Counting

    def __post_init__(self) -> None:
        super().__post_init__()
        self.store = self.store_class(self.world, self)
        self.counting = self.counting_class(self.store, self.started_us())
        self.generation = -1
        self.position = 0
        self.thread.start()

    def started_us(self) -> int:
        return 0

    def poll(self) -> None:
        """One turn of the consumer's loop."""
        if self.generation != self.world.generation:
            self.counting.forget([SHARD])
            self.generation = -1
            if self.world.owner is not self or not self.join():
                return
        if not self.owns:
            return
        self.take_batch()
        if self.owns and (self.world.rng.random() < 0.3 or self.position == len(self.world.log)):
            self.flush()
        if self.owns and self.should_leave:
            self.leave()

    @property
    def owns(self) -> bool:
        """As far as this process knows: it learns of a loss when it polls or when it has to try again."""
        return self.generation >= 0

    def join(self) -> bool:
        """Whether the shard could be started."""
        self.generation = self.world.generation
        try:
            self.position = self.start()
        except Unavailable:
            self.generation = -1
        return self.owns

    def start(self) -> int:
        return self.counting.start(SHARD, 0)

    def take_batch(self) -> None:
        end = min(self.world.head, self.position + self.world.rng.randint(1, 4))
        if end > self.position:
            records = [(record.offset, record.event) for record in self.world.log[self.position : end]]
            self.counting.take(SHARD, records, end)
            self.position = end
            self.persist(self.counting.settle)

    def flush(self) -> None:
        self.persist(self.counting.flush)
        if self.owns:
            self.commit()

    def commit(self) -> None:
        self.world.committed = self.position
        if self.position == len(self.world.log) and self.world.faults is CALM:
            self.world.finish()

    def leave(self) -> None:
        """Everything is settled; store it and let another go on."""
        self.should_leave = False
        self.flush()
        if self.generation == self.world.generation:
            self.world.reassign()

    def persist(self, act: Callable[[], object]) -> None:
        """Until it succeeds or the shard is known to be lost."""
        while self.owns:
            try:
                act()
            except Unavailable:
                if self.generation != self.world.generation:
                    self.generation = -1
            else:
                return

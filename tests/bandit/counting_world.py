"""A small world in which everything goes wrong that can: replicas that miss writes or get them late, consumers that are
killed or frozen, and a log that repeats itself. One seed makes one schedule."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar

from bandit.counting import Counting
from bandit.counting_store import Claim, CountWrite, Key, NameWrite, Progress, ProgressWrite
from bandit.event import BannerEvent
from tests.bandit.counting_log import LogRecord

SHARD = 0
REPLICAS, QUORUM = 3, 2
MAX_STEPS = 60_000


class Unavailable(Exception):
    """A quorum did not answer in time; the statement may have been applied all the same."""


class Killed(BaseException):
    """SIGKILL."""


@dataclass
class Faults:
    """Probabilities, each of one step or one write to one replica."""

    one_misses: float = 0.4
    many_miss: float = 0.14
    is_late: float = 0.4
    lost_answer: float = 0.01
    failed_read: float = 0.005
    failed_start: float = 0.6
    kill: float = 0.012
    freeze: float = 0.03
    hand_over: float = 0.03
    freeze_in_flush: float = 0.045


CALM = Faults(*[0.0] * 10)


class World:
    """The log, the replicas and the processes. Exactly one process runs at any time: the one that holds the baton."""

    def __init__(self, seed: int, log: Sequence[LogRecord], make_process: Callable[["World"], "Process"]) -> None:
        self.rng = random.Random(seed)
        self.log = log
        self.head = 0
        """So many records are in the log by now."""
        self.faults = Faults()
        self.read_repair = self.rng.random() < 0.5
        self.step = 0
        self.replicas: list[dict[Any, tuple[int, Any]]] = [{} for _ in range(REPLICAS)]
        self.late: list[tuple[int, Any, int, Any]] = []
        self.generation = 0
        """Grows whenever the shard is given to another process."""
        self.committed = 0
        """The offset committed to Kafka."""
        self.is_finished = False
        self._make_process = make_process
        self.processes = [make_process(self) for _ in range(4)]
        self.owner = self.processes[0]

    def run(self) -> None:
        """Until the log is counted and everybody has ended."""
        self.owner.hand_baton()
        while True:
            running = [process for process in self.processes if process.thread.is_alive()]
            if not running:
                break
            for process in running:
                process.thread.join()
        for process in self.processes:
            if process.error is not None:
                raise process.error
        self.rng.shuffle(self.late)
        for write in self.late:
            self._apply(*write)

    def point(self, process: "Process") -> None:
        """Here anything may happen before the process goes on."""
        self.step += 1
        assert self.step < MAX_STEPS, "the world does not come to an end"
        self._let_things_happen()
        following = self._choose()
        if following is not process:
            following.hand_baton()
            process.wait_for_baton()
        if process.is_killed:
            raise Killed

    def ended(self, process: "Process") -> None:
        """The process runs no more: somebody else goes on."""
        others = [one for one in self.processes if one is not process and not one.has_ended]
        if others:
            self.rng.choice(others).hand_baton()

    def finish(self) -> None:
        """Everything is counted and stored."""
        self.is_finished = True

    def write(self, process: "Process", key: Any, stamp: int, value: Any) -> bool:
        """Whether a quorum acknowledged it."""
        if key[0] != "claim" and process is self.owner and self.rng.random() < self.faults.freeze_in_flush:
            self._freeze_owner()
        self.point(process)
        missing = self._missing_replicas()
        for replica in range(REPLICAS):
            if replica not in missing:
                self._apply(replica, key, stamp, value)
            elif self.rng.random() < self.faults.is_late:
                self.late.append((replica, key, stamp, value))
        self.point(process)
        return REPLICAS - len(missing) >= QUORUM and self.rng.random() >= self.faults.lost_answer

    def read(self, process: "Process", matches: Callable[[Any], bool], replicas: int) -> dict[Any, tuple[int, Any]]:
        """What so many replicas, chosen by chance, hold together."""
        self.point(process)
        if self.rng.random() < self.faults.failed_read:
            raise Unavailable
        chosen = self.rng.sample(range(REPLICAS), replicas)
        merged = self.merged(chosen, matches)
        if self.read_repair:
            for replica in chosen:
                for key, (stamp, value) in merged.items():
                    self._apply(replica, key, stamp, value)
        return merged

    def merged(self, replicas: Sequence[int], matches: Callable[[Any], bool]) -> dict[Any, tuple[int, Any]]:
        """By key: the value with the highest stamp."""
        merged: dict[Any, tuple[int, Any]] = {}
        for replica in replicas:
            for key, cell in self.replicas[replica].items():
                if matches(key) and (key not in merged or _beats(cell, merged[key])):
                    merged[key] = cell
        return merged

    def final_states(self) -> Iterator[dict[Any, tuple[int, Any]]]:
        """What every quorum says in the end."""
        for pair in combinations(range(REPLICAS), QUORUM):
            yield self.merged(pair, lambda key: True)

    def _missing_replicas(self) -> list[int]:
        """Those that do not get a write now, and perhaps never."""
        chance = self.rng.random()
        many, one = self.faults.many_miss, self.faults.one_misses
        number = self.rng.choice((2, 3)) if chance < many else int(chance < many + one)
        return self.rng.sample(range(REPLICAS), number)

    def _apply(self, replica: int, key: Any, stamp: int, value: Any) -> None:
        held = self.replicas[replica].get(key)
        if held is None or _beats((stamp, value), held):
            self.replicas[replica][key] = (stamp, value)

    def _let_things_happen(self) -> None:
        rng, faults = self.rng, self.faults
        if self.head < len(self.log) and rng.random() < 0.08:
            self.head += 1
        if self.late and rng.random() < 0.03:
            self._apply(*self.late.pop(rng.randrange(len(self.late))))
        if self.head == len(self.log) and self.faults is not CALM and rng.random() < 0.003:
            self.faults = CALM
        chance = rng.random()
        if chance < faults.kill:
            self._kill(rng.choice([self.owner, self.owner, *self.processes]))
        elif chance < faults.kill + faults.freeze:
            self._freeze_owner()
        elif chance < faults.kill + faults.freeze + faults.hand_over:
            self.owner.should_leave = True

    def reassign(self) -> None:
        """Give the shard to another process."""
        self.generation += 1
        alive = [one for one in self.processes if not one.is_killed and one is not self.owner]
        awake = [one for one in alive if one.thaw_step <= self.step]
        self.owner = self.rng.choice(awake or alive)
        self.owner.should_leave = False

    def _freeze_owner(self) -> None:
        """Longer than the session lasts: it goes on as a zombie."""
        self.owner.thaw_step = self.step + self.rng.choice((50, 200, 800))
        self.reassign()

    def _kill(self, process: "Process") -> None:
        process.is_killed = True
        process.thaw_step = 0
        process.successor = self._make_process(self)
        self.processes.append(process.successor)
        if process is self.owner:
            self.reassign()
        self.processes = [one for one in self.processes if not one.has_ended]

    def _choose(self) -> "Process":
        running = [one for one in self.processes if not one.has_ended]
        dying = [one for one in running if one.is_killed]
        if dying:
            return dying[0]
        awake = [one for one in running if one.thaw_step <= self.step] or running
        if self.owner in awake and self.rng.random() < 0.75:
            return self.owner
        return self.rng.choice(awake)


def _beats(one: tuple[int, Any], other: tuple[int, Any]) -> bool:
    return one[0] > other[0] or (one[0] == other[0] and repr(one[1]) > repr(other[1]))


class ModelStore:
    """The CountingStore of one process; variants change single methods."""

    claim_ttl_steps = MAX_STEPS
    replicas_read = QUORUM

    def __init__(self, world: World, process: "Process") -> None:
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

    def read(self, matches: Callable[[Any], bool]) -> dict[Any, tuple[int, Any]]:
        return self.world.read(self.process, matches, self.replicas_read)


@dataclass
class Process:
    """One consumer process: what kafka_ingest.consumer does, on the same Counting."""

    world: World
    store_class: ClassVar[type[ModelStore]] = ModelStore
    counting_class: ClassVar[type[Counting]] = Counting
    is_killed: bool = False
    has_ended: bool = False
    should_leave: bool = False
    thaw_step: int = 0
    error: BaseException | None = None
    successor: "Process | None" = None
    _baton: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._baton.acquire()
        self.store = self.store_class(self.world, self)
        self.counting = self.counting_class(self.store, self.started_us())
        self.generation = -1
        self.position = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def started_us(self) -> int:
        return 0

    def hand_baton(self) -> None:
        self._baton.release()

    def wait_for_baton(self) -> None:
        self._baton.acquire()

    def _run(self) -> None:
        self.wait_for_baton()
        try:
            with suppress(Killed):
                while not self.world.is_finished:
                    self.world.point(self)
                    self.poll()
        except BaseException as error:
            self.error = error
            self.world.finish()
        finally:
            self.has_ended = True
            self.world.ended(self)

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

"""A small world in which everything goes wrong that can: replicas miss writes, processes are killed or frozen, the log
repeats itself. One seed makes one schedule."""

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.bandit.counting_log import LogRecord
from tests.bandit.counting_replicas import QUORUM, REPLICAS, Cell, Replicas

SHARD = 0
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


@dataclass
class Scheduled(ABC):
    """A process as the world sees it: it runs while it holds the baton."""

    world: "World"
    is_killed: bool = False
    has_ended: bool = False
    should_leave: bool = False
    thaw_step: int = 0
    error: BaseException | None = None
    successor: "Scheduled | None" = None
    _baton: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._baton.acquire()
        self.thread = threading.Thread(target=self._run, daemon=True)

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

    @abstractmethod
    def poll(self) -> None:
        """One turn of what it does."""


class World:
    """The log, the replicas and the processes. Exactly one process runs at any time: the one that holds the baton."""

    def __init__(self, seed: int, log: Sequence[LogRecord], make_process: Callable[["World"], "Scheduled"]) -> None:
        self.rng = random.Random(seed)
        self.log = log
        self.head = 0
        """So many records are in the log by now."""
        self.faults = Faults()
        self.replicas = Replicas(self.rng)
        self.step = 0
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
        self.replicas.let_all_arrive()

    def point(self, process: "Scheduled") -> None:
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

    def ended(self, process: "Scheduled") -> None:
        """The process runs no more: somebody else goes on."""
        others = [one for one in self.processes if one is not process and not one.has_ended]
        if others:
            self.rng.choice(others).hand_baton()

    def finish(self) -> None:
        """Everything is counted and stored."""
        self.is_finished = True

    def write(self, process: "Scheduled", key: Any, stamp: int, value: Any) -> bool:
        """Whether a quorum acknowledged it."""
        if key[0] != "claim" and process is self.owner and self.rng.random() < self.faults.freeze_in_flush:
            self._freeze_owner()
        self.point(process)
        missing = self._missing_replicas()
        self.replicas.write(key, stamp, value, missing, self.faults.is_late)
        self.point(process)
        return REPLICAS - len(missing) >= QUORUM and self.rng.random() >= self.faults.lost_answer

    def read(self, process: "Scheduled", matches: Callable[[Any], bool], replicas: int) -> dict[Any, Cell]:
        """What so many replicas, chosen by chance, hold together."""
        self.point(process)
        if self.rng.random() < self.faults.failed_read:
            raise Unavailable
        return self.replicas.read(matches, replicas)

    def _missing_replicas(self) -> list[int]:
        """Those that do not get a write now, and perhaps never."""
        chance = self.rng.random()
        many, one = self.faults.many_miss, self.faults.one_misses
        number = self.rng.choice((2, 3)) if chance < many else int(chance < many + one)
        return self.rng.sample(range(REPLICAS), number)

    def _let_things_happen(self) -> None:
        rng, faults = self.rng, self.faults
        if self.head < len(self.log) and rng.random() < 0.08:
            self.head += 1
        self.replicas.let_one_arrive()
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

    def _kill(self, process: "Scheduled") -> None:
        process.is_killed = True
        process.thaw_step = 0
        process.successor = self._make_process(self)
        self.processes.append(process.successor)
        if process is self.owner:
            self.reassign()
        self.processes = [one for one in self.processes if not one.has_ended]

    def _choose(self) -> "Scheduled":
        running = [one for one in self.processes if not one.has_ended]
        dying = [one for one in running if one.is_killed]
        if dying:
            return dying[0]
        awake = [one for one in running if one.thaw_step <= self.step] or running
        if self.owner in awake and self.rng.random() < 0.75:
            return self.owner
        return self.rng.choice(awake)

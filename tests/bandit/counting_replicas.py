"""Three replicas that miss writes or get them late, and what a quorum of them says."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

REPLICAS, QUORUM = 3, 2

Cell = tuple[int, Any]
"""A stamp and a value."""


class Replicas:
    """By key the value with the highest stamp, in each replica as far as writes reached it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._read_repair = rng.random() < 0.5
        self._cells: list[dict[Any, Cell]] = [{} for _ in range(REPLICAS)]
        self._late: list[tuple[int, Any, int, Any]] = []

    def write(self, key: Any, stamp: int, value: Any, missing: Sequence[int], is_late: float) -> None:
        """The missing ones get it late with this probability, else never."""
        for replica in range(REPLICAS):
            if replica not in missing:
                self._apply(replica, key, stamp, value)
            elif self._rng.random() < is_late:
                self._late.append((replica, key, stamp, value))

    def read(self, matches: Callable[[Any], bool], replicas: int) -> dict[Any, Cell]:
        """What so many replicas, chosen by chance, hold together."""
        chosen = self._rng.sample(range(REPLICAS), replicas)
        merged = self._merged(chosen, matches)
        if self._read_repair:
            for replica in chosen:
                for key, (stamp, value) in merged.items():
                    self._apply(replica, key, stamp, value)
        return merged

    def let_one_arrive(self) -> None:
        """One of the late writes, perhaps."""
        if self._late and self._rng.random() < 0.03:
            self._apply(*self._late.pop(self._rng.randrange(len(self._late))))

    def let_all_arrive(self) -> None:
        """All of them, in any order."""
        self._rng.shuffle(self._late)
        for write in self._late:
            self._apply(*write)

    def final_states(self) -> Iterator[dict[Any, Cell]]:
        """What every quorum says in the end."""
        for pair in combinations(range(REPLICAS), QUORUM):
            yield self._merged(pair, lambda key: True)

    def _merged(self, replicas: Sequence[int], matches: Callable[[Any], bool]) -> dict[Any, Cell]:
        merged: dict[Any, Cell] = {}
        for replica in replicas:
            for key, cell in self._cells[replica].items():
                if matches(key) and (key not in merged or _beats(cell, merged[key])):
                    merged[key] = cell
        return merged

    def _apply(self, replica: int, key: Any, stamp: int, value: Any) -> None:
        held = self._cells[replica].get(key)
        if held is None or _beats((stamp, value), held):
            self._cells[replica][key] = (stamp, value)


def _beats(one: Cell, other: Cell) -> bool:
    return one[0] > other[0] or (one[0] == other[0] and repr(one[1]) > repr(other[1]))

"""Counts of one cell, wherever they were counted, as one row."""

from collections.abc import Iterable
from operator import add
from typing import Any


def sum_shards(rows: Iterable[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
    """One row a cell; the last three columns are numbers.

    Nearly always there is one shard, so this takes half the time of GROUP BY, in what every process reads every
    few seconds.
    """
    cells: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        cell = row[:-3]
        known = cells.get(cell)
        if known is not None:
            row = (*cell, *map(add, known[-3:], row[-3:]))
        cells[cell] = row
    return cells.values()

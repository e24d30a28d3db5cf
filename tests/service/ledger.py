"""What visitors tried and what was acknowledged, on disk before their next request; and whether the store agrees."""

import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bandit.event import BannerEvent, decode
from bandit.model import UNKNOWN, Kind, Verdict
from serving.keyring import customer_digest
from serving.token import CUSTOMER_BYTES
from tests.service.shop import TENANT

TRIED, ACKNOWLEDGED, REFUSED = "tried", "acknowledged", "refused"
MOST_COMPLAINTS = 20

Cell = tuple[object, ...]
Totals = tuple[int, int, int]
"""Served, viewed, clicks."""


class Pen:
    """Writes one visitor's part of the ledger. What it wrote survives the death of its process."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, state: str, kind: str, *names: str) -> None:
        """An impression is called by its customer until it is acknowledged, and by its id since."""
        os.write(self._descriptor, f"{' '.join((state, kind, *names))}\n".encode())


@dataclass(slots=True)
class Ledger:
    """All visitors' parts together."""

    customers: set[str] = field(default_factory=set)
    """Impressions that were asked for; each by a customer of its own."""
    impressions: dict[bytes, str] = field(default_factory=dict)
    """Impressions that were answered as recorded, with their customers."""
    tried: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    """How often each (kind, impression) was reported."""
    acknowledged: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    """How often it was answered 202."""
    refused: list[str] = field(default_factory=list)
    """Answers that nobody should have got."""

    @classmethod
    def read(cls, directory: Path) -> "Ledger":
        """Everything written so far."""
        ledger = cls()
        for path in sorted(directory.iterdir()):
            for line in path.read_text().splitlines():
                ledger._take(*line.split())
        return ledger

    def _take(self, state: str, kind: str, *names: str) -> None:
        if state == REFUSED:
            self.refused.append(f"{kind} {' '.join(names)}")
        elif kind != Kind.SERVED:
            counter = self.tried if state == TRIED else self.acknowledged
            counter[kind, bytes.fromhex(names[0])] += 1
        elif state == TRIED:
            self.customers.add(names[0])
        else:
            self.impressions[bytes.fromhex(names[1])] = names[0]


def complaints(ledger: Ledger, store: Path, customer_key: bytes) -> list[str]:
    """What is lost, counted twice or invented; empty when the store holds what the ledger says. At most a few of each
    sort. All journals must be drained."""
    found: list[str] = [f"a visitor was refused: {line}" for line in ledger.refused[:MOST_COMPLAINTS]]
    with closing(sqlite3.connect(store)) as connection:
        found += [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        events = [decode(row[0]) for row in connection.execute("SELECT payload FROM events")]
        clicked = {row[0] for row in connection.execute("SELECT impression_id FROM clicks")}
        cells, by_referrer = _cells(connection, "policy, city"), _cells(connection, "referrer")
    counted = [event for event in events if event.verdict == Verdict.ACCEPTED]
    for check in (
        impression_complaints(ledger, counted, customer_key),
        feedback_complaints(ledger, counted),
        _lost_clicks(ledger, clicked),
        _invented_clicks(ledger, clicked),
        _sums("cell", cells, expected_cells(counted, lambda event: (event.policy, event.city))),
        _sums("referrer", by_referrer, expected_cells(counted, lambda event: (event.referrer or UNKNOWN,))),
        _order(cells | by_referrer),
    ):
        found += [complaint for complaint, _ in zip(check, range(MOST_COMPLAINTS), strict=False)]
    return found


def impression_complaints(ledger: Ledger, events: list[BannerEvent], customer_key: bytes) -> Iterator[str]:
    """Each acknowledged impression once; none that nobody asked for, and none twice."""
    served = Counter(event.impression_id for event in events if event.kind == Kind.SERVED)
    customers = Counter(event.customer for event in events if event.kind == Kind.SERVED)
    asked = {customer_digest(customer_key, TENANT, name)[:CUSTOMER_BYTES] for name in ledger.customers}
    lost = ledger.impressions.keys() - served
    yield from (f"impression {one.hex()} was acknowledged and is not counted" for one in lost)
    yield from (f"impression {one.hex()} is counted {times} times" for one, times in served.items() if times > 1)
    yield from (f"nobody asked for {times} impressions" for one, times in customers.items() if one not in asked)
    yield from (f"one request counts {times} impressions" for times in customers.values() if times > 1)


def feedback_complaints(ledger: Ledger, events: list[BannerEvent]) -> Iterator[str]:
    """Views and clicks are kept at least as often as they were acknowledged, and at most as often as they were sent."""
    kept = Counter((event.kind, event.impression_id) for event in events if event.kind != Kind.SERVED)
    for what in ledger.tried.keys() | ledger.acknowledged.keys() | kept.keys():
        if not ledger.acknowledged[what] <= kept[what] <= ledger.tried[what]:
            yield (
                f"{what[0]} {what[1].hex()} was sent {ledger.tried[what]} times, acknowledged "
                f"{ledger.acknowledged[what]} times and is kept {kept[what]} times"
            )


def _lost_clicks(ledger: Ledger, clicked: set[bytes]) -> Iterator[str]:
    acknowledged = {impression for kind, impression in ledger.acknowledged if kind == Kind.CLICKED}
    yield from (f"click {one.hex()} was acknowledged and is not counted" for one in acknowledged - clicked)


def _invented_clicks(ledger: Ledger, clicked: set[bytes]) -> Iterator[str]:
    tried = {impression for kind, impression in ledger.tried if kind == Kind.CLICKED}
    yield from (f"click {one.hex()} is counted and was never sent" for one in clicked - tried)


def _cells(connection: sqlite3.Connection, by: str) -> dict[Cell, Totals]:
    table = "counts_by_referrer" if by == "referrer" else "counts"
    query = f"SELECT tenant, slot, day, banner, {by}, sum(served), sum(viewed), sum(clicks) FROM {table}"
    rows = connection.execute(f"{query} GROUP BY tenant, slot, day, banner, {by}")
    return {row[:-3]: row[-3:] for row in rows}


def expected_cells(events: Iterable[BannerEvent], place: Callable[[BannerEvent], Cell]) -> dict[Cell, Totals]:
    """What the cells must hold: each impression, its first view and its first click once. A click is a view, too."""
    members: dict[Cell, tuple[set[bytes], set[bytes], set[bytes]]] = defaultdict(lambda: (set(), set(), set()))
    for event in events:
        served, viewed, clicked = members[(event.tenant, event.slot, event.day, event.banner, *place(event))]
        if event.kind == Kind.SERVED:
            served.add(event.impression_id)
        else:
            viewed.add(event.impression_id)
        if event.kind == Kind.CLICKED:
            clicked.add(event.impression_id)
    return {cell: (len(served), len(viewed), len(clicked)) for cell, (served, viewed, clicked) in members.items()}


def _sums(name: str, cells: dict[Cell, Totals], expected: dict[Cell, Totals]) -> Iterator[str]:
    for cell in cells.keys() | expected.keys():
        if cells.get(cell) != expected.get(cell):
            yield f"{name} {cell} holds {cells.get(cell)} and should hold {expected.get(cell)}"


def _order(cells: dict[Cell, Totals]) -> Iterator[str]:
    for cell, (served, viewed, clicks) in cells.items():
        if not clicks <= viewed <= served:
            yield f"{cell} holds {clicks} clicks, {viewed} views and {served} impressions"

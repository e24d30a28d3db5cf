"""A store as large as the dashboard is promised to be fast over: twelve million rows of counts, written in bulk."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

from bandit.model import Policy, Tenant
from bandit.zone import day_of
from benchmarks.content import TENANT, Content, names
from storage.cassandra_session import COUNTING, CassandraOptions, CassandraSession

CONTENT = Content(slots=100, cities=200, banners=10)
DAYS = 60
HOLDOUT = 20
"""One city of so many has what the holdout was shown, so that there is a lift."""
CITIES_A_BATCH = 10
BATCHES_AT_ONCE = 500

Counted = tuple[str, str, str, int, int, int]
"""Policy, city, banner; served, viewed, clicks."""


def days() -> range:
    """Up to today."""
    today = day_of(time.time_ns() // 1000, Tenant(TENANT).time_zone)
    return range(today - DAYS + 1, today + 1)


def day_of_a_slot(content: Content) -> list[Counted]:
    """Each banner has a click rate of its own."""
    cells = product(enumerate(names("city", content.cities)), enumerate(names("banner", content.banners)))
    return [
        (Policy.LEARNED if number % HOLDOUT else Policy.HOLDOUT, city, banner, 90 + number, 60 + number, 1 + column)
        for (number, city), (column, banner) in cells
    ]


def count_in_sqlite(path: Path, content: Content) -> None:
    """The same counts in every slot on every day."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TEMP TABLE one (policy, city, banner, served, viewed, clicks)")
        connection.executemany("INSERT INTO one VALUES (?, ?, ?, ?, ?, ?)", sorted(day_of_a_slot(content)))
        for slot, day in product(sorted(names("slot", content.slots)), days()):
            connection.execute(
                """INSERT INTO counts SELECT ?, ?, ?, 0, policy, city, banner, 0, served, viewed, clicks FROM one""",
                (TENANT, slot, day),
            )
            connection.execute(
                """INSERT INTO daily_counts SELECT ?, ?, ?, policy, banner, sum(served), sum(viewed), sum(clicks)
                   FROM one GROUP BY policy, banner""",
                (TENANT, slot, day),
            )
        connection.execute("INSERT INTO changed SELECT DISTINCT tenant, slot, day, 1 FROM daily_counts")


def count_in_cassandra(options: CassandraOptions, content: Content) -> None:
    """The same; some cities of a day in one batch."""
    session = CassandraSession(options)
    requests = _requests(content)
    while some := [request for request, _ in zip(requests, range(BATCHES_AT_ONCE), strict=False)]:
        session.run_many(some, COUNTING)
    session.close()


def _requests(content: Content) -> Iterator[tuple[str, dict[str, object]]]:
    rows, step = day_of_a_slot(content), CITIES_A_BATCH * content.banners
    batches = [_batch(rows[start : start + step]) for start in range(0, len(rows), step)]
    for slot, day, batch in product(names("slot", content.slots), days(), batches):
        yield batch, {"slot": slot, "day": day}


def _batch(rows: list[Counted]) -> str:
    columns = "tenant, slot, day, epoch, policy, city, banner, shard, served, viewed, clicks, last_offset"
    inserts = [
        f"""INSERT INTO counts ({columns}) VALUES ('{TENANT}', :slot, :day, 0, '{policy}', '{city}', '{banner}', 0,
            {served}, {viewed}, {clicks}, 1) USING TIMESTAMP 1;"""
        for policy, city, banner, served, viewed, clicks in rows
    ]
    return f"BEGIN UNLOGGED BATCH {' '.join(inserts)} APPLY BATCH"

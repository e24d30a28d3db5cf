"""What Cassandra holds, read at a quorum, and where it is not what the clickstream adds up to."""

from collections.abc import Iterable
from typing import Any

from storage.cassandra_clicks import BUCKETS
from storage.cassandra_session import COUNTING, CassandraSession
from tests.counting.traffic import CITIES, DAYS, SLOTS, TENANTS, Traffic

COLUMNS = ("served", "viewed", "clicked")
MOST_COMPLAINTS = 10


def complaints(session: CassandraSession, epoch: int, traffic: Traffic) -> list[str]:
    """A few of the cells, referrers and clicks that are wrong; empty when everything is exact."""
    cells = _cells(session, epoch, "counts", "policy, city, banner")
    referrers = _cells(session, epoch, "counts_by_referrer", "referrer, banner")
    found = _clicks(session)
    wanted = {
        (click.tenant, click.city, click.day, impression, click.received_at)
        for impression, click in traffic.clicks.items()
    }
    lines = [
        *_differences("cell", cells, dict(traffic.model.cells)),
        *_differences("referrer", referrers, dict(traffic.model.by_referrer)),
        *_differences("draws", _draws(session, epoch), dict(traffic.draws)),
        *(f"no click {one}" for one in sorted(wanted - found)),
        *(f"too many clicks: {one}" for one in sorted(found - wanted)),
    ]
    return lines[:MOST_COMPLAINTS] + ([f"{len(lines)} differences"] if lines else [])


def _cells(session: CassandraSession, epoch: int, table: str, names: str) -> dict[Any, int]:
    statement = f"""SELECT {names}, served, viewed, clicks FROM {table}
        WHERE tenant = ? AND slot = ? AND day = ? AND epoch = ?"""
    partitions = [(tenant, slot, day) for tenant in TENANTS for slot in SLOTS for day in DAYS]
    answers = session.run_many([(statement, (*partition, epoch)) for partition in partitions], COUNTING)
    found: dict[Any, int] = {}
    for partition, rows in zip(partitions, answers, strict=True):
        for row in rows:
            for column, number in zip(COLUMNS, row[-3:], strict=True):
                if number:
                    cell = (*partition, *row[:-3], column)
                    found[cell] = found.get(cell, 0) + number
    return found


def _draws(session: CassandraSession, epoch: int) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for name, table, column in (("inverse", "sampled", "inverse"), ("would_be", "would_be", "decisions")):
        statement = f"SELECT banner, {column} FROM {table} WHERE tenant = ? AND slot = ? AND day = ? AND epoch = ?"
        places = [(tenant, slot, day) for tenant in TENANTS for slot in SLOTS for day in DAYS]
        answers = session.run_many([(statement, (*place, epoch)) for place in places], COUNTING)
        for place, rows in zip(places, answers, strict=True):
            for banner, number in rows:
                key = (*place, name, banner)
                found[key] = found.get(key, 0) + int(number)
    return found


def _clicks(session: CassandraSession) -> set[tuple[str, str, int, bytes, int]]:
    statement = """SELECT impression_id, received_at FROM clicks_by_city
        WHERE tenant = ? AND city = ? AND day = ? AND bucket = ?"""
    places = [
        (tenant, city, day, bucket)
        for tenant in TENANTS
        for city in CITIES
        for day in DAYS
        for bucket in range(BUCKETS)
    ]
    answers = session.run_many([(statement, place) for place in places], COUNTING)
    return {(*place[:3], *row) for place, rows in zip(places, answers, strict=True) for row in rows}


def _differences(what: str, found: dict[Any, int], wanted: dict[Any, int]) -> Iterable[str]:
    for cell in sorted(found.keys() | wanted.keys()):
        if found.get(cell, 0) != wanted.get(cell, 0):
            yield f"{what} {cell}: {found.get(cell, 0)} instead of {wanted.get(cell, 0)}"

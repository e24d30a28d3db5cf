"""Recounting from an archive that has more than the log had when the epoch was made."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from bandit.counting import Counting
from bandit.event import BannerEvent, decode
from bandit.model import CountRow, Epoch, Tenant
from settings import load
from spark_jobs import distributed_recount
from spark_jobs.cassandra import session_options
from spark_jobs.folding import Exclusions
from storage.archive import ArchiveDirectory, Manifest, Stored
from storage.cassandra import CassandraStore
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_epochs import active_epoch, create_epoch, publish_epoch
from storage.cassandra_import import CassandraImport
from storage.cassandra_session import COUNTING, CassandraOptions, CassandraSession
from storage.opening import cassandra_options
from tests.backends import environment
from tests.storage.events import DAY, Log, served

OLD, NEW = 100, 20
EVENTS = [
    decode(record.payload)
    for record in Log().records(
        *[served(number, day=DAY - 10) for number in range(OLD)], *[served(OLD + number) for number in range(NEW)]
    )
]


@pytest.fixture
def session(keyspace: CassandraOptions) -> Iterator[CassandraSession]:
    opened = CassandraSession(keyspace)
    yield opened
    opened.close()


def count(session: CassandraSession, epoch: Epoch, events: list[BannerEvent], first: int) -> None:
    counting = Counting(CassandraCounting(session, epoch.number), epoch.started_us)
    assert counting.start(0, epoch.start_offsets[0]) == first
    counting.take(0, list(enumerate(events, first)), first + len(events))
    counting.settle()
    counting.flush()


def archived(path: Path, first: int) -> None:
    """All from this offset on."""
    archive = ArchiveDirectory(path)
    since = time.time_ns() // 1000 if first else 0
    archive.create(Manifest(topic="t", topic_id="id", begins={"0": first}, complete_since_us=since))
    archive.write("stream-0-0", [Stored(offset, EVENTS[offset]) for offset in range(first, len(EVENTS))])
    for name, text in (("commits/0", "{}"), ("offsets/0", f'v1\n{{}}\n{{"t":{{"0":{len(EVENTS)}}}}}')):
        file = archive.checkpoint / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_older_days_come_back_from_the_archive_and_stay(
    keyspace: CassandraOptions, session: CassandraSession, spark: Any, tmp_path: Path
) -> None:
    store = CassandraStore(keyspace, reading=COUNTING)
    store.put_tenant("shop", Tenant("shop"))
    now_us = time.time_ns() // 1000
    epoch = Epoch(1, "t", "id", 1, now_us, {0: OLD}, "filling")  # the log had lost what came before
    create_epoch(session, epoch)
    publish_epoch(session, 1)
    count(session, epoch, EVENTS[OLD:], OLD)
    imported = CassandraImport(session, 1, "shop", now_us)
    imported.counts("home", [CountRow(DAY - 40, "learned", "Pune", "sale", 7, 0, 0)])

    def recount(directory: Path, *, publish: bool) -> int:
        ours = {"BANNER_DATA_DIRECTORY": str(tmp_path), "BANNER_ARCHIVE_DIRECTORY": str(directory)}
        settings = load(environment(keyspace) | {"BANNER_CONFIG": "/dev/null"} | ours)
        for name, value in session_options(cassandra_options(settings)).items():
            if name != "spark.sql.extensions":
                spark.conf.set(name, value)
        return distributed_recount.recount(settings, Exclusions(), lambda **_: spark, source="archive", publish=publish)

    def by_day() -> dict[int, int]:
        store.configuration_version()  # takes notice of a new epoch
        return {row.day - DAY: row.served for row in store.counts("shop", "home", DAY - 60, DAY)}

    archived(tmp_path / "whole", 0)
    assert by_day() == {-40: 7, 0: NEW}
    assert recount(tmp_path / "whole", publish=False) == 1
    assert recount(tmp_path / "whole", publish=True) == 0
    assert by_day() == {-40: 7, -10: OLD, 0: NEW}
    assert recount(tmp_path / "whole", publish=False) == 0

    # An archive that was begun anew with the log as it is now does not have them; they are kept.
    archived(tmp_path / "new", OLD)
    assert recount(tmp_path / "new", publish=True) == 0
    assert by_day() == {-40: 7, -10: OLD, 0: NEW}
    active = active_epoch(session)
    assert active is not None and (active.number, active.start_offsets) == (3, {0: 0})
    store.close()

"""What pages remember: nothing is shown that the store does not say, and what there was no time for comes later."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bandit.model import ALL_CITIES, CountRow
from serving.page_memory import PageMemory
from storage.base import Changes, StoreUnavailable
from storage.sqlite import SqliteStore
from tests.service_process import wait_until
from tests.storage.events import DAY, Log, clicked, served

FIRST = DAY - 9


class Silent(SqliteStore):
    """A store that cannot tell what changed, as Cassandra's cannot, and notes what it was asked for."""

    epoch = 1
    away = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[int] = []

    def changes(self, cursor: int) -> Changes:
        return Changes(self.epoch, None)

    def daily_counts(self, tenant: str, slot: str, first_day: int, last_day: int) -> list[CountRow]:
        if self.away:
            raise StoreUnavailable("away")
        self.asked += range(first_day, last_day + 1)
        return super().daily_counts(tenant, slot, first_day, last_day)


def opened(kind: type[SqliteStore], directory: Path) -> SqliteStore:
    """Ten days with two impressions each, and a click on the first."""
    SqliteStore.open(directory / "banner.db").close()
    store = kind(directory / "banner.db")
    numbers = itertools.count(1)
    shown = [served(next(numbers), day=day, city=city) for day in range(FIRST, DAY + 1) for city in ("Pune", "Delhi")]
    store.deliver(Log().records(*shown, clicked(shown[0])))
    return store


@pytest.fixture(params=[SqliteStore, Silent])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    made = opened(request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Silent]:
    made = opened(Silent, tmp_path)
    assert isinstance(made, Silent)
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daily_counts.json"


def never(_seconds: float) -> bool:
    return False


def total(memory: PageMemory, first: int = FIRST, last: int = DAY) -> list[tuple[int, int]] | None:
    rows = memory.daily_counts.total("shop", "home", first, last)
    return None if rows is None else [(row.served, row.clicks) for row in rows]


def look(memory: PageMemory, today: int = DAY) -> list[tuple[int, int]] | None:
    memory.daily_counts.note_changes(today)
    return total(memory, last=today)


def test_days_are_told_one_by_one_and_together(store: SqliteStore, path: Path) -> None:
    memory = PageMemory(store, path)
    rows = memory.daily_counts.rows("shop", "home", DAY - 1, DAY)
    assert rows == [CountRow(day, "learned", ALL_CITIES, "sale", 2, 0, 0) for day in (DAY - 1, DAY)]
    assert look(memory) == [(20, 1)]
    assert total(memory, DAY, DAY) == total(memory, FIRST + 1, FIRST + 1) == [(2, 0)]


def test_what_is_counted_meanwhile_is_in_the_next_look(store: SqliteStore, path: Path) -> None:
    memory = PageMemory(store, path)
    assert look(memory) == [(20, 1)]
    store.deliver(Log(journal=8).records(served(100), served(101, day=DAY - 1)))
    assert look(memory) == [(22, 1)]


def test_without_time_nothing_is_told_that_is_not_known_and_the_thread_reads_it(store: SqliteStore, path: Path) -> None:
    memory = PageMemory(store, path)
    days = ("shop", "home", FIRST, DAY)
    assert memory.daily_counts.rows(*days, has_time=never) is None
    assert memory.daily_counts.total(*days, has_time=never) is None
    memory.start()
    try:
        wait_until(lambda: memory.daily_counts.total(*days, has_time=never), "read")
        assert memory.daily_counts.total(*days, has_time=never) == memory.daily_counts.total(*days)
    finally:
        memory.stop()


def test_a_day_that_is_over_is_read_again_when_it_is_twice_as_old(silent: Silent, path: Path) -> None:
    memory = PageMemory(silent, path)
    read_at: dict[int, int] = {}
    for today in range(DAY, DAY + 30):
        silent.asked.clear()
        look(memory, today)
        read_at |= {day: today - day for day in silent.asked}
        assert all(today - day < max(2, 2 * age) for day, age in read_at.items())
        assert today == DAY or len(silent.asked) <= 8


def test_a_recount_is_read_whole(silent: Silent, path: Path) -> None:
    memory = PageMemory(silent, path)
    look(memory)
    silent.asked.clear()
    silent.epoch = 2
    look(memory)
    assert len(silent.asked) == 10


def test_after_a_restart_only_what_may_have_changed_is_read(silent: Silent, path: Path) -> None:
    before = PageMemory(silent, path)
    assert look(before) == [(20, 1)]
    before.stop()
    silent.asked.clear()
    memory = PageMemory(silent, path)
    memory.start()
    assert look(memory) == [(20, 1)]
    assert sorted(silent.asked) == [DAY - 1, DAY]
    memory.stop()


def test_a_file_that_cannot_be_used_is_as_good_as_none(silent: Silent, path: Path) -> None:
    for content in ("", "{}", '{"format": 1, "slots": 3}', '{"format": 99, "cursor": 1, "slots": []}'):
        path.write_text(content)
        memory = PageMemory(silent, path)
        memory.start()
        assert look(memory) == [(20, 1)]
        memory._later.stop()


def test_a_store_that_is_away_for_a_moment_is_asked_again(silent: Silent, path: Path) -> None:
    memory = PageMemory(silent, path)
    silent.away = True
    with pytest.raises(StoreUnavailable):
        look(memory)
    silent.away = False
    assert look(memory) == [(20, 1)]

import threading
from pathlib import Path

import pytest

from storage import retention
from storage.base import StoreUnavailable
from storage.refused import dead_letter_files, read_refusals
from storage.retention import CLAIM_DAYS, DAY_US, STEP_ROWS, keep_pruned, prune
from storage.sqlite import SqliteStore
from tests.commands.stored_events import DAY, SERVED_AT, drain_all, events, paths, recorder, served_count
from tests.storage.events import DAY as NOON_DAY
from tests.storage.events import NOON_US, Log, clicked, served
from web.schemas import SlotBody

RETENTION_DAYS = 30
HALF_HOUR_US = 1_800_000_000


def test_claims_outlive_the_longest_attribution_window_by_a_week() -> None:
    window = SlotBody.model_json_schema()["properties"]["attribution_window_seconds"]
    assert window["maximum"] * 1_000_000 <= (CLAIM_DAYS - 7) * DAY_US


def test_events_older_than_the_retention_go_and_counts_stay(tmp_path: Path) -> None:
    where = paths(tmp_path)
    with recorder(where) as writing:
        for _ in range(STEP_ROWS + 10):
            writing.serve()
    drain_all(where)
    store = SqliteStore(where.database)
    for age_days, left in ((RETENTION_DAYS - 1, STEP_ROWS + 10), (RETENTION_DAYS + 1, 0)):
        now = SERVED_AT + age_days * DAY_US
        prune(store, threading.Event(), retention_days=RETENTION_DAYS, now_us=now)
        assert len(events(where)) == left
    assert served_count(where) == STEP_ROWS + 10


def test_a_click_stays_claimed_for_as_long_as_it_may_be_repeated(tmp_path: Path) -> None:
    where = paths(tmp_path)
    store = SqliteStore(where.database)
    with recorder(where) as writing:
        impression = writing.serve()
        writing.click(impression)
        drain_all(where)
        prune(store, threading.Event(), retention_days=RETENTION_DAYS, now_us=SERVED_AT + (CLAIM_DAYS - 1) * DAY_US)
        writing.click(impression)
    drain_all(where)
    assert store.counts("shop", "home", DAY, DAY)[0].clicks == 1


def test_a_click_repeated_after_its_claim_was_pruned_becomes_a_dead_letter(tmp_path: Path) -> None:
    where = paths(tmp_path)
    store = SqliteStore(where.database)
    with recorder(where) as writing:
        impression = writing.serve()
        writing.click(impression)
        drain_all(where)
        prune(store, threading.Event(), retention_days=RETENTION_DAYS, now_us=SERVED_AT + (CLAIM_DAYS + 1) * DAY_US)
        writing.click(impression)
    drain_all(where)
    assert store.counts("shop", "home", DAY, DAY)[0].clicks == 1
    (refusal,) = read_refusals(dead_letter_files(where.journal)[0])
    assert "so old" in refusal.reason


def test_a_clock_that_is_ahead_for_a_round_takes_an_hour_and_no_claim_of_today(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "banner.db")
    log = Log()
    half_hours = range(NOON_US, NOON_US + 10 * HALF_HOUR_US, HALF_HOUR_US)
    shown = [served(number, served_at=at, received_at=at) for number, at in enumerate(half_hours)]
    store.deliver(log.records(*shown, clicked(shown[0])))

    def one_round() -> int:
        return prune(store, threading.Event(), retention_days=RETENTION_DAYS, now_us=NOON_US + 400 * DAY_US)

    events, claims = 3, 2
    assert one_round() == events + claims
    assert store.deliver(log.records(*map(clicked, shown[2:]))) == []
    assert sum(row.clicks for row in store.counts("shop", "home", NOON_DAY, NOON_DAY)) == 9
    while one_round():
        pass
    assert store.oldest() == (None, None)


@pytest.mark.parametrize("trouble", [StoreUnavailable("away"), RuntimeError("a fault of ours")])
def test_pruning_outlives_whatever_fails_and_ends_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    monkeypatch.setattr(retention, "IDLE_SECONDS", 0.001)
    stop, tried = threading.Event(), iter(range(3))

    def now_us() -> int:
        if next(tried) == 2:
            stop.set()
        raise trouble

    keep_pruned(SqliteStore(tmp_path / "none.db"), stop, retention_days=RETENTION_DAYS, now_us=now_us)
    assert list(tried) == []
    assert caplog.text.count(str(trouble)) >= 3

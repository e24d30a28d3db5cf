import threading
from pathlib import Path

from storage.retention import CLAIM_DAYS, DAY_US, STEP_ROWS, keep_pruned, prune
from storage.sqlite import SqliteStore
from tests.commands.stored_events import DAY, SERVED_AT, drain_all, events, paths, recorder, served_count
from web.schemas import SlotBody

RETENTION_DAYS = 30


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


def test_pruning_outlives_a_store_that_is_away_and_ends_when_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    missing = SqliteStore(tmp_path / "none.db")
    asked = threading.Event()

    def now_us() -> int:
        asked.set()
        return SERVED_AT

    arguments = {"retention_days": RETENTION_DAYS, "now_us": now_us}
    thread = threading.Thread(target=keep_pruned, args=(missing, stop), kwargs=arguments)
    thread.start()
    assert asked.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()

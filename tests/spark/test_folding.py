import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from pyspark.sql import DataFrame

from bandit.event import BannerEvent
from bandit.model import CountRow
from bandit.zone import date_to_day, day_to_date
from spark_jobs.events import COLUMNS, FILE_COLUMNS, Wanted, read_archive
from spark_jobs.folding import (
    BLOCK_BITS,
    CELL,
    NUMBERS,
    Exclusions,
    accepted_once,
    by_cell,
    by_referrer,
    count,
    exclude,
    first_feedback,
    first_names,
)
from storage.archive import ArchiveDirectory, file_schema
from tests.storage.archived import archive_of, some_events, stamped
from tests.storage.events import DAY, NOON_US, Model, clicked, served, viewed


def events_of(spark: Any, path: Path, events: list[BannerEvent]) -> DataFrame:
    return read_archive(spark, archive_of(path, events))


def cells(counts: DataFrame) -> dict[tuple[Any, ...], tuple[int, ...]]:
    rows = by_cell(counts).collect()
    return {
        (row.tenant, row.slot, CountRow(date_to_day(row.day), row.policy, row.city, row.banner, *row[7:10])): ()
        for row in rows
    }


def model_of(events: list[BannerEvent]) -> Model:
    model = Model()
    for event in events:
        model.take(event)
    return model


def rows_of(model: Model) -> set[tuple[Any, ...]]:
    keys = {key[:2] for key in model.cells}
    return {(*key, row) for key in keys for row in model.rows(*key)}  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(2))
def test_random_events_count_as_the_plain_model_counts_them(spark: Any, tmp_path: Path, seed: int) -> None:
    events = some_events(200, seed)
    counted = count(accepted_once(events_of(spark, tmp_path, events)))
    assert set(cells(counted)) == rows_of(model_of(events))


def test_what_the_transport_brought_twice_counts_once(spark: Any, tmp_path: Path) -> None:
    rng = random.Random(5)
    once = [stamped(number, event) for number, event in enumerate(some_events(150), 1)]
    twice = once + rng.choices(once, k=60)
    distinct = accepted_once(events_of(spark, tmp_path, twice)).persist()
    offsets = sorted(row.log_offset for row in distinct.select("log_offset").collect())
    assert offsets == [number for number, event in enumerate(once, 1) if event.verdict == "accepted"]
    assert set(cells(count(distinct))) == rows_of(model_of(once))


def record(journal: int, shard: int, sequence: int) -> BannerEvent:
    """An impression of its own at this place of a journal; whoever has the same place is a repetition."""
    number = hash((journal, shard, sequence)) & 0xFFFF_FFFF
    return served(number, journal=journal, shard=shard, sequence=sequence)


def first_offsets(events: list[BannerEvent]) -> list[int]:
    firsts: dict[tuple[int, int, int], int] = {}
    for offset, event in enumerate(events, 1):
        firsts.setdefault((event.journal, event.shard, event.sequence), offset)
    return sorted(firsts.values())


def kept(spark: Any, path: Path, events: list[BannerEvent]) -> list[int]:
    rows = accepted_once(events_of(spark, path, events)).select("log_offset").collect()
    return sorted(row.log_offset for row in rows)


BLOCK = 1 << BLOCK_BITS
LARGE = (1 << 62) + 5
JOURNAL = -0x1234_5678_9ABC_DEF0


@pytest.mark.parametrize(
    "places",
    [
        pytest.param([(JOURNAL, 0, 5), (JOURNAL, 0, 6), (JOURNAL, 0, 5)], id="in one block"),
        pytest.param([(JOURNAL, 0, n) for n in (BLOCK - 1, BLOCK, BLOCK, BLOCK - 1)], id="at a block's edges"),
        pytest.param([(JOURNAL, 0, n) for n in (*range(1, 200), 150, 3)], id="among many"),
        pytest.param([(JOURNAL, 0, LARGE), (JOURNAL, 0, LARGE + BLOCK), (JOURNAL, 0, LARGE)], id="of a large sequence"),
        pytest.param([(JOURNAL, 0, 1), (JOURNAL, 0, 2), (JOURNAL, 0, 4), (JOURNAL, 0, 4)], id="beside a gap"),
        pytest.param([(JOURNAL, 0, n) for n in (0, 2, 2, 3, 3, 5)], id="beside gaps with their sum"),
        pytest.param(
            [(JOURNAL, 0, n) for n in (0, 2, 2, 3, 3, 4, 7, 7, 8)], id="beside gaps with their sum and squares"
        ),
        pytest.param(
            [(6, 0, BLOCK + 6), (7, 0, 6), (6, 0, BLOCK + 6)], id="where two journals' blocks have one number"
        ),
    ],
)
def test_a_repetition_is_found(spark: Any, tmp_path: Path, places: list[tuple[int, int, int]]) -> None:
    events = [record(*place) for place in places]
    assert kept(spark, tmp_path, events) == first_offsets(events) != list(range(1, len(events) + 1))


def test_the_same_sequence_of_another_journal_or_shard_is_no_repetition(spark: Any, tmp_path: Path) -> None:
    places = [(journal, shard, 5) for journal in (JOURNAL, 6, 7) for shard in (0, 1, 65_534)]
    assert kept(spark, tmp_path, [record(*place) for place in places]) == list(range(1, 10))


def test_no_repetition_is_overlooked_where_blocks_collide(spark: Any, tmp_path: Path) -> None:
    """Small journals' blocks have the same numbers all the time; ten thousand records of five thousand places."""
    rng = random.Random(11)
    events = [record(rng.randrange(8), rng.randrange(2), 64 * rng.randrange(1, 320)) for _ in range(10_000)]
    assert kept(spark, tmp_path, events) == first_offsets(events)


def test_without_repetitions_everything_is_counted_in_one_pass_and_nothing_is_sorted(
    spark: Any, tmp_path: Path
) -> None:
    counts = count(accepted_once(events_of(spark, tmp_path, some_events(20))))
    plan = counts._jdf.queryExecution().executedPlan().toString()
    assert plan.count("FileScan") == 1
    assert "Sort" not in plan and "Join" not in plan


def test_impressions_are_told_apart_whatever_their_bytes(spark: Any, tmp_path: Path) -> None:
    ids = [b"\xff" * 16, b"\xfe" * 16, b"\xc3\x28" * 8, b"\0" * 16, b"\0" * 15 + b"\x80"]
    events = [make(served(1, impression_id=one)) for one in ids for make in (viewed, clicked, clicked)]
    read = accepted_once(events_of(spark, tmp_path, events))
    assert {bytes(row.impression_id) for row in first_feedback(read).collect()} == set(ids)
    (row,) = by_cell(count(read)).collect()
    assert (row.served, row.viewed, row.clicks) == (0, len(ids), len(ids))
    claimed = [(bytearray(one), kind) for one in ids[:2] for kind in ("viewed", "clicked")]
    frame = spark.createDataFrame(claimed, "impression_id binary, kind string")
    (row,) = by_cell(count(read, claimed=frame)).collect()
    assert (row.viewed, row.clicks, row.first_offset) == (3, 3, 7)


def test_the_first_view_and_click_are_those_with_the_lowest_offsets(spark: Any, tmp_path: Path) -> None:
    one, other = served(1), served(2)
    events = [one, other, clicked(one), viewed(one), clicked(one), viewed(other), clicked(other)]
    firsts = first_feedback(accepted_once(events_of(spark, tmp_path, events))).collect()
    assert sorted((bytes(row.impression_id), row.view_offset, row.click_offset) for row in firsts) == sorted(
        [(one.impression_id, 3, 3), (other.impression_id, 6, 7)]
    )


def test_rows_end_at_the_last_record_that_counted(spark: Any, tmp_path: Path) -> None:
    one = served(1)
    events = [one, viewed(one), clicked(one), clicked(one), viewed(one)]
    (row,) = by_cell(count(accepted_once(events_of(spark, tmp_path, events)))).collect()
    assert (row.served, row.viewed, row.clicks, row.first_offset, row.last_offset) == (1, 1, 1, 1, 3)


def test_only_the_first_referrers_count_by_name(spark: Any, tmp_path: Path) -> None:
    events = [served(number, referrer=name) for number, name in enumerate(("a", "b", "a", "c", None))]
    counted = count(accepted_once(events_of(spark, tmp_path, events)))
    names = first_names(counted, "referrer", 2)
    assert [(row.referrer, row.first_offset) for row in names.orderBy("first_offset").collect()] == [("a", 1), ("b", 2)]
    rows = {row.referrer: row.served for row in by_referrer(counted, names).collect()}
    assert rows == {"a": 2, "b": 1, "_other": 1, "_unknown": 1}


def test_what_is_excluded_goes_with_its_views_and_clicks(spark: Any, tmp_path: Path) -> None:
    poison = served(1, customer=b"poison!!", referrer="bad")
    late = served(2, served_at=NOON_US + 3_600_000_000)
    good = served(3)
    events = [event for one in (poison, late, good) for event in (one, clicked(one))]
    read = events_of(spark, tmp_path, events)

    def left(exclusions: Exclusions) -> Counter[str]:
        return Counter(bytes(row.impression_id)[-1:].hex() for row in exclude(read, exclusions).collect())

    assert left(Exclusions()) == Counter({"01": 2, "02": 2, "03": 2})
    assert left(Exclusions(customers=[b"poison!!"])) == Counter({"02": 2, "03": 2})
    assert left(Exclusions(referrers=["bad"])) == Counter({"02": 2, "03": 2})
    hour = datetime.fromtimestamp(NOON_US / 1e6 + 1800, UTC), datetime.fromtimestamp(NOON_US / 1e6 + 7200, UTC)
    assert left(Exclusions(*hour)) == Counter({"01": 2, "03": 2})
    assert left(Exclusions(too_fast_ms=6_000)) == Counter({"01": 1, "02": 1, "03": 1})


def test_a_filter_reads_only_the_files_of_its_city_and_days(spark: Any, tmp_path: Path) -> None:
    archive = archive_of(tmp_path, some_events(100))
    wanted = Wanted("shop", ["Pune"], "home", day_to_date(DAY), day_to_date(DAY))
    found = read_archive(spark, archive, wanted)
    plan = found._jdf.queryExecution().executedPlan().toString()
    partition_filters = plan.partition("PartitionFilters: [")[2].partition("]")[0]
    assert all(name in partition_filters for name in ("tenant", "day", "city"))
    assert "EqualTo(slot,home)" in plan
    assert found.count() == sum(
        (e.tenant, e.city, e.slot, e.day) == ("shop", "Pune", "home", DAY) for e in some_events(100)
    )
    assert 0 < len(found.inputFiles()) < len(archive.files()) / 5


def test_counting_uses_no_python_on_the_rows(spark: Any, tmp_path: Path) -> None:
    read = events_of(spark, tmp_path, some_events(20))
    plan = by_cell(count(accepted_once(read)))._jdf.queryExecution().executedPlan().toString()
    assert "Python" not in plan and "Arrow" not in plan


def test_names_made_of_digits_stay_texts(spark: Any, tmp_path: Path) -> None:
    read = events_of(spark, tmp_path, [served(1, tenant="007", city="0042")])
    assert [(row.tenant, row.city) for row in read.collect()] == [("007", "0042")]


def test_the_columns_of_a_cell_are_those_of_the_store() -> None:
    assert {*CELL, *NUMBERS} == {*CountRow._fields, "tenant", "slot", "shard"}


def test_an_empty_archive_is_said(spark: Any, tmp_path: Path) -> None:
    from storage.archive import ArchiveError

    with pytest.raises(ArchiveError, match="no events yet"):
        read_archive(spark, archive_of(tmp_path, []))
    assert ArchiveDirectory(tmp_path).files() == []


def test_the_archive_has_every_field_of_an_event_in_both_ways_of_writing_it() -> None:
    assert set(COLUMNS) == {*BannerEvent._fields, "log_offset"}
    assert list(FILE_COLUMNS) == file_schema().names


def test_what_was_counted_elsewhere_counts_no_more(spark: Any, tmp_path: Path) -> None:
    one, other = served(1), served(2)
    events = [one, other, clicked(one), clicked(other)]
    claimed = [(bytearray(one.impression_id), "viewed"), (bytearray(other.impression_id), "clicked")]
    frame = spark.createDataFrame(claimed, "impression_id binary, kind string")
    (row,) = by_cell(count(accepted_once(events_of(spark, tmp_path, events)), claimed=frame)).collect()
    assert (row.served, row.viewed, row.clicks) == (2, 1, 1)

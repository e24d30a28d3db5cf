"""What was received of a journal: every sequence once, whatever order they come in, for as long as it matters."""

import random

from hypothesis import given
from hypothesis import strategies as st

from bandit.received import HOUR_US, IDLE_US, MAX_GAPS, Received, ReceivedRanges

JOURNAL = 7
NOW_US = 1_750_000_000_000_000


@given(st.lists(st.integers(1, 40), max_size=80))
def test_a_sequence_is_taken_the_first_time_only(sequences: list[int]) -> None:
    received, seen = Received(), set[int]()
    for sequence in sequences:
        assert received.has(sequence) == (sequence in seen)
        assert received.take(sequence) == (sequence not in seen)
        seen.add(sequence)


@given(st.lists(st.tuples(st.sampled_from([3, 4]), st.integers(1, 40)), max_size=60), st.integers(0, 60))
def test_what_is_stored_and_read_again_goes_on_as_if_nothing_had_happened(
    records: list[tuple[int, int]], cut: int
) -> None:
    whole, first = ReceivedRanges({}), ReceivedRanges({})
    wanted = [whole.take(journal, sequence, NOW_US) for journal, sequence in records]
    found = [first.take(journal, sequence, NOW_US) for journal, sequence in records[:cut]]
    second = ReceivedRanges(first.stored())
    found += [second.take(journal, sequence, NOW_US) for journal, sequence in records[cut:]]
    assert found == wanted
    assert second.stored() == whole.stored()


def test_past_a_thousand_gaps_the_lowest_is_closed() -> None:
    ranges = ReceivedRanges({})
    for sequence in range(1, 2 * MAX_GAPS + 4, 2):
        ranges.take(JOURNAL, sequence, NOW_US)
    assert len(ranges.stored()[JOURNAL].gaps) == MAX_GAPS
    assert not ranges.take(JOURNAL, 2, NOW_US)
    assert ranges.take(JOURNAL, 4, NOW_US)


def test_a_journal_is_remembered_for_thirty_days_of_log_time_and_then_forgotten() -> None:
    ranges = ReceivedRanges({})
    ranges.take(JOURNAL, 1, NOW_US)
    ranges.take(8, 1, NOW_US + IDLE_US)
    assert not ranges.take(JOURNAL, 1, NOW_US)
    ranges.take(8, 2, NOW_US + 2 * IDLE_US + HOUR_US)
    assert set(ranges.stored()) == {8}


def test_an_old_impression_does_not_set_the_log_time_back() -> None:
    ranges = ReceivedRanges({})
    ranges.take(8, 1, NOW_US + IDLE_US)
    ranges.take(JOURNAL, 1, NOW_US)
    assert ranges.stored()[JOURNAL].seen_us == NOW_US + IDLE_US


def test_forgetting_depends_on_the_records_alone_and_not_on_when_progress_was_stored() -> None:
    rng = random.Random(5)
    times = [NOW_US + number * HOUR_US * 9 for number in range(200)]
    records = [(rng.choice((1, 2, 3)) + number // 40, number, served_at) for number, served_at in enumerate(times, 1)]
    whole, parts = ReceivedRanges({}), ReceivedRanges({})
    for record in records:
        assert whole.take(*record) == parts.take(*record)
        if rng.random() < 0.3:
            parts = ReceivedRanges(parts.stored())
    assert whole.stored() == parts.stored()
    assert len(whole.stored()) < len({journal for journal, *_ in records})

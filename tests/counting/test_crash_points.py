"""A consumer that dies between two statements: the next one makes it good, and does not with a rule broken."""

import random

import pytest

from tests.counting.conftest import MakePlace
from tests.counting.counted import complaints
from tests.counting.crashing_consumer import AFTER_CLAIM, BEFORE_PROGRESS, BETWEEN_ROWS, PROGRESS_FIRST, SEEN_MARKS
from tests.counting.traffic import Traffic, shuffled_in
from tests.service_process import wait_until

EVENTS, AGAIN = 600, 60


def complaints_after_crash(make_place: MakePlace, point: str, broken: str) -> list[str]:
    place, rng = make_place(partitions=1), random.Random(point)
    traffic = Traffic(rng, 1)
    events = traffic.events(EVENTS)
    log = shuffled_in(rng, events, [*traffic.copies(AGAIN), *traffic.repeated_clicks(AGAIN)])
    place.writer.write(log)
    marker = place.directory / "crashed"
    place.consumer(module="tests.counting.crashing_consumer", CRASH_AT=point, CRASH_MARKER=str(marker), BROKEN=broken)
    wait_until(marker.exists, f"dead {point}", 60)
    place.wait_until_counted(len(log))
    return complaints(place.session, place.epoch.number, traffic)


@pytest.mark.parametrize("point", [AFTER_CLAIM, BETWEEN_ROWS, BEFORE_PROGRESS])
def test_counts_are_exact_after_a_death_between_two_statements(place: MakePlace, point: str) -> None:
    assert complaints_after_crash(place, point, "nothing") == []


@pytest.mark.parametrize(("broken", "point"), [(SEEN_MARKS, AFTER_CLAIM), (PROGRESS_FIRST, BETWEEN_ROWS)])
def test_the_same_death_makes_a_broken_way_to_count_wrong(place: MakePlace, broken: str, point: str) -> None:
    assert complaints_after_crash(place, point, broken) != []

"""Partitions that are added while events come in."""

import random

from kafka_ingest.epoch_making import publish
from storage.cassandra_epochs import active_epoch
from tests.counting.conftest import MakePlace
from tests.counting.counted import complaints
from tests.counting.traffic import Traffic, shuffled_in

BEFORE, AFTER = 3, 6
EVENTS, AGAIN = 4_000, 400


def test_counts_are_exact_when_partitions_are_doubled_while_visitors_click_again(place: MakePlace) -> None:
    one, rng = place(partitions=BEFORE), random.Random(43)
    traffic = Traffic(rng, BEFORE)
    for _ in range(2):
        one.consumer()
    first = traffic.events(EVENTS)
    one.writer.write(first)
    one.wait_until_counted(len(first) // 4)  # in mid-load
    one.topic.grow(AFTER)
    one.writer.close()  # it knows the old partitions
    assert publish(one.session, one.kafka, one.epoch.number) == AFTER
    traffic.partitions = AFTER
    again = [*traffic.repeated_clicks(AGAIN), *traffic.copies(AGAIN)]
    second = [*shuffled_in(rng, traffic.events(EVENTS), []), *again]
    rng.shuffle(second)
    one.writer.write(second)
    one.wait_until_counted(len(first) + len(second))
    assert complaints(one.session, one.epoch.number, traffic) == []
    active = active_epoch(one.session)
    assert active is not None and active.partitions == AFTER
    assert all(one.positions()[shard] for shard in range(BEFORE, AFTER)), "new impressions use the new partitions"

"""Records that nobody can count, among ten thousand that are all right."""

import random
from collections import Counter, defaultdict

from bandit.event import BannerEvent, encode
from kafka_ingest.wire import frame
from tests.counting.conftest import MakePlace
from tests.counting.counted import complaints
from tests.counting.traffic import Traffic
from tests.service_process import wait_until

PARTITIONS, GOOD, POISON = 4, 9_900, 100


def poison(good: bytes, event: BannerEvent, number: int) -> bytes | None:
    """One of ten ways to be wrong."""
    payload = encode(event)
    return (
        None,
        b"",
        b"\0\0\0",
        b"\1" + good[1:],
        frame(987_654, payload),
        good[: len(good) // 2],
        good + b"\0",
        b'{"kind": "served"}',
        good[:5] + b"\x0e" + good[6:],
        good[:5] + encode(event._replace(shard=event.shard + PARTITIONS)),
    )[number % 10]


def test_poison_is_set_aside_unchanged_and_everything_else_counts(place: MakePlace) -> None:
    one, rng = place(partitions=PARTITIONS), random.Random(44)
    traffic = Traffic(rng, PARTITIONS)
    values: defaultdict[int, list[bytes | None]] = defaultdict(list)
    for event in traffic.events(GOOD):
        values[event.shard].append(one.writer.message(event))
    bad = [poison(one.writer.message(event), event, number) for number, event in enumerate(traffic.copies(POISON))]
    for value in bad:
        shard = rng.randrange(PARTITIONS)
        values[shard].insert(rng.randrange(len(values[shard]) + 1), value)
    for shard, several in values.items():
        one.topic.put(*several, partition=shard)
    consumer = one.consumer()
    one.wait_until_counted(GOOD + POISON)
    assert complaints(one.session, one.epoch.number, traffic) == []
    letters = one.dead_letters.messages()
    assert Counter(letter.value for letter in letters) == Counter(bad)
    for letter in letters:
        assert letter.headers["reason"] and letter.headers["topic"].decode() == one.topic.name
        place_in_log = int(letter.headers["partition"]), int(letter.headers["offset"])
        assert values[place_in_log[0]][place_in_log[1]] == letter.value
    assert consumer.metric("dead_letters_total") == POISON
    wait_until(lambda: consumer.get("/metrics")[0] == 200 and consumer.metric("lag") == 0, "without lag")
    assert consumer.metric("position") == GOOD + POISON
    assert consumer.metric("flush_seconds_count") > 0
    assert consumer.get("/livez") == (200, "ok\n")
    assert consumer.stop() == 0

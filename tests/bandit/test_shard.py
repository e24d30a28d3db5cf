"""Which log an impression is counted from."""

import random
from collections import Counter

from bandit.shard import shard_of


def test_a_shard_is_the_same_in_every_release() -> None:
    assert [shard_of("shop", "home", city, 12) for city in ("pune", "mumbai", "_other")] == [2, 8, 2]


def test_with_one_partition_there_is_one_shard() -> None:
    assert {shard_of("shop", "home", city, 1) for city in ("pune", "mumbai", "नई दिल्ली")} == {0}


def test_names_are_not_run_together() -> None:
    assert shard_of("ab", "c", "d", 1 << 30) != shard_of("a", "bc", "d", 1 << 30)


def test_places_spread_over_all_shards() -> None:
    """12,000 places in 12 shards: each within 15 % of 1,000, which random hashes miss less than once in 100,000."""
    rng = random.Random(5)
    places = [("shop", f"slot-{rng.getrandbits(32)}", f"city-{rng.getrandbits(32)}") for _ in range(12_000)]
    counted = Counter(shard_of(*place, 12) for place in places)
    assert set(counted) == set(range(12))
    assert all(850 < number < 1150 for number in counted.values())

"""Where a click is kept: one city's day is spread over several partitions, so that none grows without bound."""

BUCKETS = 16


def click_bucket(impression_id: bytes) -> int:
    """The bucket of a click in clicks_by_city, from the random end of its impression's id."""
    return impression_id[-1] % BUCKETS

"""How rows of counts, claims and clicks are written: whole, and stamped, so that a repeated or late write does no harm.

The stamp of counts is the start of their epoch plus the offset of the last record in them, in microseconds; that of a
click is when it was received.
"""

from bandit.event import BannerEvent
from storage.cassandra_clicks import click_bucket
from storage.cassandra_session import Request

WRITE_COUNT = """INSERT INTO counts
    (tenant, slot, day, epoch, policy, city, banner, shard, served, viewed, clicks, last_offset)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""
WRITE_REFERRER_COUNT = """INSERT INTO counts_by_referrer
    (tenant, slot, day, epoch, referrer, banner, shard, served, viewed, clicks, last_offset)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""
WRITE_CITY = """INSERT INTO unrecognised_cities (tenant, epoch, name, shard, impressions, last_offset)
    VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""
WRITE_CLICK = """INSERT INTO clicks_by_city
    (tenant, city, day, bucket, received_at, impression_id, served_at, slot, banner, customer, referrer)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""
WRITE_CLAIM = "INSERT INTO claims (impression_id, kind, epoch, log_offset) VALUES (?, ?, ?, ?)"


def click_write(event: BannerEvent) -> Request:
    """The statement that keeps an accepted click."""
    place = (event.tenant, event.city, event.day, click_bucket(event.impression_id))
    key = (event.received_at, event.impression_id)
    rest = (event.served_at, event.slot, event.banner, event.customer, event.referrer)
    return WRITE_CLICK, (*place, *key, *rest, event.received_at)

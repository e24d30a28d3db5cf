"""What a group of consumers does when its servers go away, when its topic changes, and when it is told to end."""

import random
import re
import time
from contextlib import suppress

from kafka import TopicPartition
from kafka.errors import KafkaError

from kafka_ingest.epoch_making import create, publish, skip
from kafka_ingest.epoch_topic import log_ends
from services.cassandra import Cassandra
from storage.cassandra_epochs import active_epoch
from tests.counting.conftest import MakePlace
from tests.counting.counted import complaints
from tests.counting.group import Consumer, Place
from tests.counting.traffic import EventWriter, Traffic
from tests.kafka.topic import admin
from tests.service_process import wait_until


def write(one: Place, traffic: Traffic, count: int) -> None:
    one.writer.write(traffic.events(count))


def test_counting_pauses_while_cassandra_is_away_and_nobody_loses_a_place_in_the_group(
    place: MakePlace, cassandra: Cassandra
) -> None:
    one, traffic = place(), Traffic(random.Random(51), 4)
    consumers = [one.consumer() for _ in range(2)]
    write(one, traffic, 1_000)
    one.wait_until_counted(1_000)
    wait_until(lambda: all(consumer.metric("position") for consumer in consumers), "shared", 120)
    processes = [consumer.pid for consumer in consumers]
    cassandra.freeze(0)
    try:
        write(one, traffic, 500)
        wait_until(lambda: all(consumer.metric("failures_total") for consumer in consumers), "waiting", 120)
    finally:
        cassandra.thaw(0)
    one.wait_until_counted(1_500)
    assert complaints(one.session, one.epoch.number, traffic) == []
    assert [consumer.pid for consumer in consumers] == processes


def test_a_consumer_that_is_told_to_end_stores_what_it_has_and_leaves_at_once(place: MakePlace) -> None:
    one, traffic = place(), Traffic(random.Random(52), 4)
    first, second = one.consumer(), one.consumer()
    write(one, traffic, 1_000)
    one.wait_until_counted(1_000)
    wait_until(lambda: first.metric("position") and second.metric("position"), "shared", 60)
    write(one, traffic, 1_000)
    assert first.stop() == 0
    with admin(one.topic.bootstrap) as client:
        (group,) = client.describe_groups([f"{one.topic.name}-counting-{one.epoch.number}"]).values()
    assert [member["group_instance_id"] for member in group["members"]] == [second.name]
    one.wait_until_counted(2_000)
    assert complaints(one.session, one.epoch.number, traffic) == []


def test_a_consumer_that_is_killed_and_soon_back_gets_its_shards_again_and_disturbs_nobody(place: MakePlace) -> None:
    one, traffic = place(), Traffic(random.Random(57), 4)
    first, second = (one.consumer(BANNER_CONSUMER_SESSION_TIMEOUT_MS="20000") for _ in range(2))
    write(one, traffic, 1_000)
    one.wait_until_counted(1_000)
    wait_until(lambda: len(shards(first)) == len(shards(second)) == 2, "shared", 60)
    of_first, said_by_second = shards(first), second.log_path.read_text()
    first.kill()
    first.start()
    write(one, traffic, 1_000)
    one.wait_until_counted(2_000)
    assert shards(first) == of_first
    assert second.log_path.read_text() == said_by_second
    with admin(one.topic.bootstrap) as client:
        (group,) = client.describe_groups([f"{one.topic.name}-counting-{one.epoch.number}"]).values()
    assert (group["group_state"], group["protocol_data"]) == ("Stable", "cooperative-sticky")


def shards(consumer: Consumer) -> set[str]:
    """Those it counts, as it says itself; none while it does not answer."""
    with suppress(OSError):
        return set(re.findall(r'^banner_consumer_position{shard="(\d+)"}', consumer.get("/metrics")[1], re.MULTILINE))
    return set()


def test_a_topic_made_anew_under_the_same_name_is_refused_with_what_to_run(place: MakePlace) -> None:
    one, traffic = place(), Traffic(random.Random(53), 4)
    write(one, traffic, 100)
    with admin(one.topic.bootstrap) as client:
        client.delete_topics([one.topic.name])
    one.writer.close()
    wait_until(lambda: can_create(one), "made anew", 60)
    consumer = one.consumer()
    assert consumer.wait_for_exit() == 1
    said = consumer.log_tail()
    assert "it was deleted and made anew" in said and "kafka_ingest.epochs create" in said
    assert one.positions() == dict.fromkeys(range(4), 0)


def test_all_that_was_counted_goes_on_counting_over_a_topic_made_anew(place: MakePlace) -> None:
    one, traffic = place(), Traffic(random.Random(58), 4)
    consumer = one.consumer()
    write(one, traffic, 2_000)
    one.wait_until_counted(2_000)
    assert consumer.stop() == 0
    with admin(one.topic.bootstrap) as client:
        client.delete_topics([one.topic.name])
    one.writer.close()
    wait_until(lambda: can_create(one), "made anew", 60)
    one.epoch = create(one.session, one.kafka, one.topic.name, time.time_ns() // 1000)
    publish(one.session, one.kafka, one.epoch.number)
    assert complaints(one.session, one.epoch.number, traffic) == []
    again = [*traffic.repeated_clicks(100), *traffic.copies(300), *traffic.events(500)]
    one.writer = EventWriter(one.kafka.bootstrap, one.topic.name)
    one.writer.write(again)
    one.consumer()
    one.wait_until_counted(len(again))
    assert complaints(one.session, one.epoch.number, traffic) == []


def can_create(one: Place) -> bool:
    try:
        one.topic.create()
    except KafkaError:
        return False
    return True


def test_a_new_epoch_is_counted_beside_the_live_one_and_everybody_goes_over_when_it_is_published(
    place: MakePlace,
) -> None:
    one, traffic = place(), Traffic(random.Random(54), 4)
    consumer = one.consumer()
    write(one, traffic, 1_000)
    one.wait_until_counted(1_000)
    old, new = one.epoch, create(one.session, one.kafka, one.topic.name, time.time_ns() // 1000)
    assert (new.number, new.topic_id) == (old.number + 1, old.topic_id)
    assert publish(one.session, one.kafka, new.number) == 4
    one.epoch = new
    write(one, traffic, 500)
    one.wait_until_counted(1_500)
    assert complaints(one.session, new.number, traffic) == []
    active = active_epoch(one.session)
    assert active is not None and active.number == new.number
    assert consumer.is_running


def test_a_log_that_lost_what_comes_next_is_refused_until_that_is_skipped(place: MakePlace) -> None:
    one, traffic = place(), Traffic(random.Random(55), 4)
    consumer = one.consumer()
    write(one, traffic, 1_000)
    one.wait_until_counted(1_000)
    assert consumer.stop() == 0
    before = one.positions()
    one.writer.write(Traffic(random.Random(59), 4, first_journal=9).events(200))  # nobody will ever count them
    ends = log_ends(one.kafka, one.topic.name, 4)
    with admin(one.topic.bootstrap) as client:
        client.delete_records({TopicPartition(one.topic.name, shard): end for shard, end in ends.items()})
    write(one, traffic, 500)
    consumer.start()
    assert consumer.wait_for_exit() == 1
    advice = f"kafka_ingest.epochs skip {one.epoch.number}"
    assert "has been deleted" in consumer.log_tail() and advice in consumer.log_tail()
    assert skip(one.session, one.kafka, one.epoch.number) == {
        shard: end - before[shard] for shard, end in ends.items() if end > before[shard]
    }
    assert skip(one.session, one.kafka, one.epoch.number) == {}
    consumer.start()
    one.wait_until_counted(1_700)
    assert complaints(one.session, one.epoch.number, traffic) == []


def test_a_topic_made_anew_under_a_running_consumer_is_refused_too(place: MakePlace) -> None:
    one, traffic = place(), Traffic(random.Random(56), 4)
    consumer = one.consumer()
    write(one, traffic, 100)
    one.wait_until_counted(100)
    before = one.positions()
    with admin(one.topic.bootstrap) as client:
        client.delete_topics([one.topic.name])
    one.writer.close()
    wait_until(lambda: can_create(one), "made anew", 60)
    write(one, traffic, 1_000)
    assert consumer.wait_for_exit() == 1
    # Which of the checks is first to see it depends on how soon the topic is back.
    assert "cannot count: " in consumer.log_tail() and "`python -m kafka_ingest." in consumer.log_tail()
    assert one.positions() == before

"""Events into Kafka, and out of it into the counts, against bare loops of the same client."""

import random
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from bandit.event import encode
from benchmarks.results import Result, rate
from benchmarks.stage import Stage
from benchmarks.wrk import CannotMeasure
from kafka_ingest.client import KafkaOptions
from kafka_ingest.forwarder import Forwarder
from kafka_ingest.producing import producer_arguments
from kafka_ingest.registry import ShippedSchemas
from kafka_ingest.wire import Decoder, event_schema, header, subject
from storage.base import Record
from tests.counting.group import Place
from tests.kafka.topic import Topic
from tests.services_fixtures import make_keyspace
from tests.storage.events import NOON_US, clicked, served

FORWARDER_RATIO, CONSUMER_RATIO, CLICKS_RATIO = 0.7, 0.5, 0.3
FORWARDED, IMPRESSIONS, WITH_CLICKS = 100_000, 200_000, 60_000
BATCH_RECORDS, WINDOW_RECORDS = 2_000, 1_000
"""The defaults of the drain and of the forwarder."""
PARTITIONS = 4
CLICK_SHARE = 0.05
POLL_RECORDS = 2_000
COUNT_SECONDS, LOOK_SECONDS = 900.0, 0.2


def measure_forwarder(stage: Stage) -> list[Result]:
    """Both write the same records, with the same settings, into topics of their own."""
    bootstrap, records = stage.kafka.bootstrap, stream(FORWARDED, 0.0)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(stage.rounds):
        for rates, write in ((ours, _forward), (theirs, _produce)):
            topic = Topic(bootstrap, partitions=PARTITIONS).create()
            rates.append(write(KafkaOptions(bootstrap), topic.name, records))
    return [rate("forwarder", ours, theirs, FORWARDER_RATIO, "events")]


def measure_consumer(stage: Stage) -> list[Result]:
    """Impressions only."""
    return _consume("consumer", stage, stream(IMPRESSIONS, 0.0), CONSUMER_RATIO)


def measure_clicks(stage: Stage) -> list[Result]:
    """With clicks among them."""
    return _consume("consumer, 5 % clicks", stage, stream(WITH_CLICKS, CLICK_SHARE), CLICKS_RATIO)


def stream(count: int, click_share: float) -> list[Record]:
    """Impressions in 2 slots, 10 cities and of 5 banners, and clicks on some of them, as journals hold them."""
    rng = random.Random(1)
    sequences = [0] * PARTITIONS
    records = []
    for number in range(count):
        shard, city = rng.randrange(PARTITIONS), f"city-{rng.randrange(10)}"
        event = served(number, city=city, slot=rng.choice(("home", "cart")), banner=f"b{rng.randrange(5)}", shard=shard)
        if rng.random() < click_share:
            event = clicked(event)
        sequences[shard] += 1
        records.append(Record(shard, encode(event._replace(journal=1, sequence=sequences[shard]))))
    return records


def _forward(options: KafkaOptions, topic: str, records: Sequence[Record]) -> float:
    """Events a second."""
    sink = Forwarder(options, topic, ShippedSchemas(), window_records=WINDOW_RECORDS, now_us=lambda: NOON_US)
    sink.deliver(records[:BATCH_RECORDS])  # connects
    started = time.perf_counter()
    for start in range(BATCH_RECORDS, len(records), BATCH_RECORDS):
        sink.deliver(records[start : start + BATCH_RECORDS])
    seconds = time.perf_counter() - started
    sink.close()
    return (len(records) - BATCH_RECORDS) / seconds


def _produce(options: KafkaOptions, topic: str, records: Sequence[Record]) -> float:
    """The same without batches, order of waiting or refusals; only the window is kept."""
    producer = KafkaProducer(**producer_arguments(options))
    prefix = header(ShippedSchemas().schema_id(subject(topic), event_schema()))
    waiting = deque(
        [producer.send(topic, prefix + record.payload, partition=record.shard) for record in records[:1000]]
    )
    producer.flush()
    started = time.perf_counter()
    for record in records[BATCH_RECORDS:]:
        if len(waiting) == WINDOW_RECORDS:
            waiting.popleft().get(timeout=60)
        waiting.append(producer.send(topic, prefix + record.payload, partition=record.shard))
    producer.flush()
    seconds = time.perf_counter() - started
    producer.close()
    return (len(records) - BATCH_RECORDS) / seconds


def _consume(name: str, stage: Stage, records: Sequence[Record], target: float) -> list[Result]:
    ours, theirs = [], []
    for number in range(stage.rounds):
        own = stage.directory / str(number)
        own.mkdir(parents=True)
        with closing(Place(own, stage.kafka, make_keyspace(stage.cassandra), partitions=PARTITIONS)) as place:
            _forward(place.kafka, place.topic.name, records)
            theirs.append(_poll(place.topic))
            place.consumer()
            ours.append(_steady_rate(place, len(records)))
    return [rate(name, ours, theirs, target, "events")]


def _poll(topic: Topic) -> float:
    """A loop that polls and decodes; events a second."""
    consumer = KafkaConsumer(
        bootstrap_servers=topic.bootstrap,
        enable_auto_commit=False,
        max_poll_records=POLL_RECORDS,
        metrics_enabled=False,
    )
    partitions = [TopicPartition(topic.name, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    wanted: int = sum(consumer.end_offsets(partitions).values())
    decoder = Decoder(ShippedSchemas())
    seen, started = 0, 0.0
    while seen < wanted:
        for records in consumer.poll(timeout_ms=500).values():
            started = started or time.perf_counter()
            for record in records:
                decoder.decode_message(record.value)
            seen += len(records)
    seconds = time.perf_counter() - started
    consumer.close()
    return wanted / seconds


def _steady_rate(place: Place, wanted: int) -> float:
    """Events a second from the first that are seen to be counted to the last. Raises CannotMeasure."""
    first, started, deadline = 0, 0.0, time.perf_counter() + COUNT_SECONDS
    while (seen := sum(place.positions().values())) < wanted:
        if seen and not first:
            first, started = seen, time.perf_counter()
        if time.perf_counter() > deadline:
            raise CannotMeasure(f"only {seen:,} of {wanted:,} events were counted in {COUNT_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
    if not first:
        raise CannotMeasure("everything was counted at one look; more events are needed")
    return (wanted - first) / (time.perf_counter() - started)

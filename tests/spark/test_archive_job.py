import json
import random
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fastavro import parse_schema, schemaless_writer

pytest.importorskip("pyspark")

from bandit.event import encode
from kafka_ingest.registry import ShippedSchemas
from kafka_ingest.wire import event_schema, frame
from services.kafka import Kafka
from spark_jobs.archive import Writer
from spark_jobs.topic import decode
from storage.archive import ArchiveDirectory, Manifest
from storage.cassandra_session import CassandraOptions
from storage.stream_checkpoint import last_batch
from tests.counting.group import Place
from tests.counting.traffic import Traffic
from tests.service_process import wait_until
from tests.spark.quick import QUICK_JOB
from tests.spark.stack import Jobs, kill
from tests.storage.archived import read, some_events, stamped

KILLS = 5
SCHEMA_ID = ShippedSchemas().schema_id("x", event_schema())
EVENTS = [stamped(number, event) for number, event in enumerate(some_events(40), 1)]


def messages(spark: Any, *values: bytes) -> Any:
    rows = [(0, offset, bytearray(value)) for offset, value in enumerate(values)]
    return spark.createDataFrame(rows, "partition int, offset bigint, value binary")


def test_messages_become_the_events_that_were_written(spark: Any) -> None:
    decoded = decode(messages(spark, *(frame(SCHEMA_ID, encode(event)) for event in EVENTS)), ShippedSchemas())
    rows = decoded.events.orderBy("log_offset").collect()
    assert [bytes(row.impression_id) for row in rows] == [event.impression_id for event in EVENTS]
    for name in ("kind", "tenant", "city", "banner", "verdict", "referrer", "journal", "sequence", "propensity"):
        assert [row[name] for row in rows] == [getattr(event, name) for event in EVENTS], name
    assert decoded.undecodable.count() == 0


def test_what_is_no_event_is_set_aside_with_the_reason(spark: Any) -> None:
    event = EVENTS[0]
    good = encode(event)
    wrong = {
        b"": "header",
        b"\x01" + frame(SCHEMA_ID, good)[1:]: "header",
        frame(77, good): "no schema of our events is 77",
        frame(SCHEMA_ID, good[:-4]): "not one event",
        frame(SCHEMA_ID, good + b"x"): "not one event",
        frame(SCHEMA_ID, b"\xff" * 30): "not one event",
        frame(SCHEMA_ID, encode(event._replace(sequence=0))): "sequence",
        frame(SCHEMA_ID, encode(event._replace(shard=3))): "another shard",
    }
    decoded = decode(messages(spark, frame(SCHEMA_ID, good), *wrong), ShippedSchemas())
    assert [row.log_offset for row in decoded.events.collect()] == [0]
    reasons = [row.reason for row in decoded.undecodable.orderBy("log_offset").collect()]
    assert len(reasons) == len(wrong)
    for reason, expected in zip(reasons, wrong.values(), strict=True):
        assert expected in reason


class Registered:
    """What a registry has, without the registry."""

    def __init__(self, **schemas: object) -> None:
        self._schemas = {int(name[1:]): json.dumps(schema) for name, schema in schemas.items()}

    def schema_id(self, subject: str, schema: str) -> int:
        raise AssertionError((subject, schema))

    def schema(self, schema_id: int) -> str:
        return self._schemas[schema_id]


def changed(name: str, kind: object = None) -> dict[str, Any]:
    """Our schema with a field of another type, or (None) without it; a new one where there is none of the name."""
    schema: dict[str, Any] = json.loads(event_schema())
    fields = [field for field in schema["fields"] if field["name"] != name]
    added = [] if kind is None else [{"name": name, "type": kind}]
    return schema | {"fields": [*added, *fields]}


def test_what_newer_releases_write_is_read_where_our_fields_are_as_they_were(spark: Any) -> None:
    kinds = {"type": "enum", "name": "Kind", "symbols": ["served", "hovered"]}
    schemas: dict[str, Any] = {
        "s1": changed("mood", "string"),
        "s2": changed("kind"),
        "s3": changed("served_at", "string"),
        "s4": changed("kind", kinds),
        "s5": "string",
    }
    fields = EVENTS[0]._asdict() | {"mood": "fine", "kind": "served"}
    odd = {"s3": {"served_at": "noon"}, "s4": {"kind": "hovered"}}

    def message(name: str) -> bytes:
        stream = BytesIO()
        datum = "text" if name == "s5" else fields | odd.get(name, {})
        schemaless_writer(stream, parse_schema(schemas[name]), datum)
        return frame(int(name[1:]), stream.getvalue())

    known = changed("kind", kinds)
    served_one = BytesIO()
    schemaless_writer(served_one, parse_schema(known), fields)
    batch = messages(spark, *map(message, schemas), frame(4, served_one.getvalue()))
    decoded = decode(batch, Registered(**schemas))
    assert [(row.log_offset, row.kind) for row in decoded.events.orderBy("log_offset").collect()] == [
        (0, "served"),
        (5, "served"),
    ]
    reasons = [row.reason for row in decoded.undecodable.orderBy("log_offset").collect()]
    assert [reason.rpartition(" ")[2] for reason in reasons] == ["2", "3", "knows", "5"]


def writer(path: Path) -> tuple[ArchiveDirectory, Writer]:
    archive = ArchiveDirectory(path)
    archive.create(Manifest(topic="t", topic_id="x"))
    archive.checkpoint.mkdir()
    (archive.checkpoint / "metadata").write_text('{"id": "0123abcd-0000"}')
    return archive, Writer(archive, ShippedSchemas())


def test_a_batch_that_is_written_again_replaces_itself(spark: Any, tmp_path: Path) -> None:
    archive, writing = writer(tmp_path)
    batch = messages(spark, *(frame(SCHEMA_ID, encode(event)) for event in EVENTS), b"nothing")
    writing.write(batch, 3)
    archive.files()[0].unlink()  # killed before it had moved all files
    writing.write(batch, 3)
    frame_read = read(archive)
    assert sorted(frame_read["log_offset"]) == list(range(len(EVENTS)))
    assert len(pd.read_parquet(archive.undecodable)) == 1
    # Were batches not told apart by their number, the same messages would be there twice.
    writing.write(batch, 4)
    assert len(read(archive)) == 2 * len(EVENTS)


def test_every_event_is_archived_once_though_the_job_is_killed_five_times(
    spark: Any, tmp_path: Path, kafka: Kafka, keyspace: CassandraOptions
) -> None:
    place = Place(tmp_path, kafka, keyspace, partitions=3)
    traffic = Traffic(random.Random(3), 3)
    stop = threading.Event()

    def feed() -> None:
        while not stop.wait(0.05):
            place.writer.write(traffic.events(50))

    feeder = threading.Thread(target=feed)
    try:
        jobs = Jobs(place, spark, archive_trigger_seconds=1, spark_options=QUICK_JOB)
        feeder.start()
        for number in range(KILLS):
            kill_in_the_middle(jobs, number)
        stop.set()
        feeder.join()
        jobs.archive_now()
        found = read(jobs.archive)
        expected = sorted((message.partition, message.offset) for message in place.topic.messages())
        assert sorted(zip(found["shard"], found["log_offset"], strict=True)) == expected
        assert len(found) == traffic.distinct
        assert set(found["impression_id"]) == {event.impression_id for event in traffic.stamped}
    finally:
        stop.set()
        place.close()


def kill_in_the_middle(jobs: Jobs, number: int) -> None:
    """SIGKILL while a batch is being written or moved: as soon as it has begun, or with some files in place."""
    before = last_batch(jobs.archive.checkpoint) + number % 2
    process = jobs.archiving()
    try:
        staged = jobs.archive.path / "_staging"
        wait_until(
            lambda: last_batch(jobs.archive.checkpoint) >= before and any(staged.glob("*/tenant=*")),
            "a batch is being written",
            180,
        )
    finally:
        kill(process)

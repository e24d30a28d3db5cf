"""Events from a Kafka topic: its options for Spark, and messages to events by the schema each was written with."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.avro.functions import from_avro, to_avro

from bandit.event import BannerEvent
from bandit.model import Kind, Policy, Verdict
from kafka_ingest.client import KafkaOptions
from kafka_ingest.registry import Schemas, UnknownSchema
from kafka_ingest.wire import HEADER_BYTES, event_schema
from spark_jobs.events import COLUMNS

MAX_SCHEMAS = 1000
"""Numbers of schemas looked up for one batch; a topic has a few."""
LAST_DAY = 2_932_896
"""9999-12-31."""
FIELDS = BannerEvent._fields


class Decoded(NamedTuple):
    """What a batch of messages holds."""

    events: DataFrame
    undecodable: DataFrame
    """shard, log_offset, reason and value of each message that is no event."""


def kafka_options(options: KafkaOptions) -> dict[str, str]:
    """For Spark's source and sink. The same files as for our other clients: PEM."""
    given = {"kafka.bootstrap.servers": options.bootstrap, "kafka.security.protocol": options.security_protocol}
    if options.security_protocol.startswith("SASL"):
        given |= {"kafka.sasl.mechanism": options.sasl_mechanism, "kafka.sasl.jaas.config": _login(options)}
    if options.ssl_cafile:
        given |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": options.ssl_cafile}
    if options.ssl_certfile:
        given |= {
            "kafka.ssl.keystore.type": "PEM",
            "kafka.ssl.keystore.certificate.chain": _text(options.ssl_certfile),
            "kafka.ssl.keystore.key": _text(options.ssl_keyfile),
        }
    return given


def read_topic(spark: SparkSession, options: Mapping[str, str], topic: str, **bounds: str) -> DataFrame:
    """The messages of a topic between these offsets or times, as named in Spark's options."""
    reader = spark.read.format("kafka").options(**options).option("subscribe", topic)
    return reader.options(**bounds).load()


def decode(messages: DataFrame, schemas: Schemas) -> Decoded:
    """Messages (partition, offset, value) to events. Raises StoreUnavailable while the registry is away.

    A payload is an event when its bytes are what the event is written as; so bytes that follow it are noticed too.
    """
    return decode_as(messages, _writers(_framed(messages), schemas))


def decode_as(messages: DataFrame, writers: Mapping[int, str]) -> Decoded:
    """The same with the schemas that are expected (number -> Avro JSON), also for a stream."""
    return split(read_as(messages, writers))


def read_as(messages: DataFrame, writers: Mapping[int, str]) -> DataFrame:
    """Every message with its event, or else the reason why there is none."""
    raw = _framed(messages)
    for schema_id, schema in writers.items():
        written = f.when(_once() & (f.col("schema_id") == schema_id), f.col("payload"))
        raw = raw.withColumn(f"as_{schema_id}", from_avro(written, schema, {"mode": "PERMISSIVE"}))
    return raw.withColumn("event", _event(writers)).withColumn("reason", _reason(writers))


def split(read: DataFrame) -> Decoded:
    """The events, and what is none."""
    undecodable = read.where(f.col("reason").isNotNull())
    events = read.where(f.col("reason").isNull()).select("event.*", "log_offset")
    return Decoded(
        events.select(*[_column(name) for name in COLUMNS]),
        undecodable.select(f.col("log").alias("shard"), "log_offset", "reason", "value"),
    )


def _framed(messages: DataFrame) -> DataFrame:
    number = f.conv(f.hex(f.substring("value", 2, 4)), 16, 10).cast("bigint")
    is_framed = (f.length("value") >= HEADER_BYTES) & (f.hex(f.substring("value", 1, 1)) == "00")
    return messages.select(
        f.col("partition").alias("log"),
        f.col("offset").alias("log_offset"),
        "value",
        f.when(is_framed, number).alias("schema_id"),
        f.expr(f"substring(value, {HEADER_BYTES + 1}, length(value) - {HEADER_BYTES})").alias("payload"),
    )


def _writers(raw: DataFrame, schemas: Schemas) -> dict[int, str]:
    found = raw.where("schema_id IS NOT NULL").select("schema_id").distinct().limit(MAX_SCHEMAS).collect()
    known = {}
    for schema_id in sorted(row["schema_id"] for row in found):
        try:
            schema = schemas.schema(schema_id)
        except UnknownSchema:
            continue
        if is_readable(schema):
            known[schema_id] = schema
    return known


def is_readable(schema: str) -> bool:
    """Whether it has our fields with our types, whatever else: a newer release may have changed what they are."""
    try:
        given = {field["name"]: _shape(field["type"]) for field in json.loads(schema)["fields"]}
    except (ValueError, KeyError, TypeError):
        return False
    ours = json.loads(event_schema())["fields"]
    return all(
        given[field["name"]] == _shape(field["type"]) if field["name"] in given else "default" in field
        for field in ours
    )


def _shape(kind: Any) -> Any:
    """An Avro type without its names; which symbols an enum may have is seen in each event."""
    if isinstance(kind, list):
        return [_shape(one) for one in kind]
    if not isinstance(kind, dict):
        return kind
    return {name: value for name, value in kind.items() if name in ("type", "size", "logicalType")}


def _event(writers: Mapping[int, str]) -> Column:
    """The one struct of the record read with its own writer's schema; null where nothing was read."""
    structs = [
        f.when(_is_read(schema_id, schema), f.struct(*_fields(f"as_{schema_id}", schema)))
        for schema_id, schema in writers.items()
    ]
    return f.when(_once(), f.coalesce(*structs)) if structs else f.lit(None).cast(_struct())


def _once() -> Column:
    """True, which Spark cannot know: else it would put what depends on it wherever it is used, and decode each message
    hundreds of times."""
    return f.spark_partition_id() >= 0


def _is_read(schema_id: int, schema: str) -> Column:
    name = f"as_{schema_id}"
    return f.col(f"{name}.kind").isNotNull() & (to_avro(f.col(name), schema) == f.col("payload"))


def _fields(name: str, schema: str) -> list[Column]:
    """Our fields, those that the writer did not know with their defaults."""
    known = {field["name"] for field in json.loads(schema)["fields"]}
    defaults = BannerEvent._field_defaults
    columns = [f.col(f"{name}.{one}") if one in known else f.lit(defaults.get(one)) for one in FIELDS]
    return [column.cast(_type(one)).alias(one) for one, column in zip(FIELDS, columns, strict=True)]


def _type(field: str) -> str:
    """As in the Avro schema: times and days are numbers still."""
    if field in ("served_at", "received_at"):
        return "bigint"
    return "int" if field == "day" else COLUMNS[field]


def _struct() -> str:
    return f"struct<{', '.join(f'{field}: {_type(field)}' for field in FIELDS)}>"


def _reason(writers: Mapping[int, str]) -> Column:
    """Why it cannot be counted, as the consumers see it; null for an event."""
    schema_id = f.col("schema_id")
    return (
        f.when(schema_id.isNull(), f.lit("no header of five bytes that begins with zero"))
        .when(~schema_id.isin(list(writers)), f.concat(f.lit("no schema of our events is "), schema_id.cast("string")))
        .when(f.col("event").isNull(), f.lit("the bytes are not one event of their schema"))
        .when(~_is_known(), f.lit("its kind, policy or verdict is none that this release knows"))
        .when(f.expr("event.journal < 1 OR event.sequence < 1"), f.lit("no journal id and sequence"))
        .when(f.expr("event.shard <> log"), f.lit("it belongs to another shard"))
        .when(~f.col("event.day").between(0, LAST_DAY), f.lit("its day is no date"))
    )


def _is_known() -> Column:
    names = {"kind": Kind, "policy": Policy, "verdict": Verdict}
    known = [f.col(f"event.{name}").isin([str(one) for one in kinds]) for name, kinds in names.items()]
    return known[0] & known[1] & known[2]


def _column(name: str) -> Column:
    if name in ("served_at", "received_at"):
        return f.timestamp_micros(name).alias(name)
    return f.date_from_unix_date("day").alias("day") if name == "day" else f.col(name)


def _login(options: KafkaOptions) -> str:
    kind = "plain.Plain" if options.sasl_mechanism == "PLAIN" else "scram.Scram"
    user, password = _quoted(options.sasl_username), _quoted(options.sasl_password)
    return f"org.apache.kafka.common.security.{kind}LoginModule required username={user} password={password};"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(path: str) -> str:
    from pathlib import Path

    return Path(path).read_text("utf-8")


def offsets_json(topic: str, offsets: Mapping[int, int]) -> str:
    """For startingOffsets and endingOffsets."""
    value: dict[str, Any] = {topic: {str(partition): offset for partition, offset in offsets.items()}}
    return json.dumps(value)

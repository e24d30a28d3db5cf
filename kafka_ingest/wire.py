"""What a Kafka message holds: five bytes of header (zero, then the schema's number as big-endian u32) and Avro binary.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/#wire-format
"""

import json
from collections.abc import Callable
from io import BytesIO
from struct import Struct
from typing import Any

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import to_parsing_canonical_form

from bandit.event import SCHEMA_PATH, BannerEvent, UndecodableEvent, decode, schema
from kafka_ingest.registry import Schemas, UnknownSchema
from storage.base import StoreUnavailable

_HEADER = Struct(">BI")
HEADER_BYTES = _HEADER.size
_MAX_SCHEMAS = 1000
"""Numbers of schemas a reader remembers; a stream has a few."""
_PADDING = bytes(8)

Read = Callable[[bytes], BannerEvent]


class Malformed(UndecodableEvent):
    """A message without the five bytes that say which schema it was written with."""


def event_schema() -> str:
    """The schema events are written with, as it is registered."""
    return SCHEMA_PATH.read_text("utf-8")


def subject(topic: str) -> str:
    """The registry's name for what the messages of a topic hold (its TopicNameStrategy)."""
    return f"{topic}-value"


def header(schema_id: int) -> bytes:
    """What stands before each payload."""
    return _HEADER.pack(0, schema_id)


def frame(schema_id: int, payload: bytes) -> bytes:
    """The value of the message that carries this payload."""
    return header(schema_id) + payload


def unframe(message: bytes | None) -> tuple[int, bytes]:
    """(number of the schema, payload). Raises Malformed."""
    if message is None or len(message) < HEADER_BYTES:
        raise Malformed(f"a message has at least {HEADER_BYTES} bytes, not {len(message or b'')}")
    magic, schema_id = _HEADER.unpack_from(message)
    if magic:
        raise Malformed(f"a message begins with a zero byte, not {magic:#04x}")
    return schema_id, message[HEADER_BYTES:]


class Decoder:
    """Reads events whatever version of the schema they were written with."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._readers: dict[int, Read] = {}

    def decode_message(self, message: bytes | None) -> BannerEvent:
        """The event. Raises UndecodableEvent for anything else, StoreUnavailable while the registry is away."""
        schema_id, payload = unframe(message)
        read = self._readers.get(schema_id)
        return read(payload) if read else self._reader(schema_id)(payload)

    def _reader(self, schema_id: int) -> Read:
        try:
            writer = json.loads(self._schemas.schema(schema_id))
            read = reader(writer)
        except UnknownSchema as error:  # not remembered: it may be registered later
            raise UndecodableEvent(str(error)) from error
        except StoreUnavailable:
            raise
        except Exception as error:  # fastavro raises whatever a strange schema leads it to
            raise UndecodableEvent(f"schema {schema_id} cannot be read: {error}") from error
        if len(self._readers) < _MAX_SCHEMAS:
            self._readers[schema_id] = read
        return read


def reader(writer: Any) -> Read:
    """How to read what was written with this schema. Whatever is no schema raises some exception."""
    parsed = parse_schema(writer)
    if to_parsing_canonical_form(parsed) == to_parsing_canonical_form(schema()):
        return decode
    return lambda payload: _resolve(parsed, payload)


def _resolve(writer: Any, payload: bytes) -> BannerEvent:
    """By Avro's rules of schema resolution."""
    # fastavro takes a text or bytes that the stream ends within for complete; behind padding it reads too far.
    stream = BytesIO(payload + _PADDING)
    try:
        fields = schemaless_reader(stream, writer, schema())
        if stream.tell() != len(payload):
            raise ValueError(f"it has {len(payload)} bytes, and the event {stream.tell()} or more")
        return BannerEvent(**fields)  # type: ignore[arg-type]
    except Exception as error:  # fastavro raises whatever the broken bytes lead it to
        raise UndecodableEvent(f"not a BannerEvent: {error or type(error).__name__}") from error

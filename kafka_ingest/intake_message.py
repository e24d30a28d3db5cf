"""What others put into the intake topic: `{kind, token, time}` in JSON, or in Avro with the Confluent header."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, NamedTuple

from fastavro import parse_schema, schemaless_reader

from bandit.model import Kind
from kafka_ingest.registry import Schemas, UnknownSchema
from kafka_ingest.wire import Malformed, unframe

KINDS = {"view": Kind.VIEWED, "click": Kind.CLICKED}
_MAX_SCHEMAS = 1000
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FORMS = 'JSON {"kind": "view" or "click", "token": ..., "time": ...}, or the same in Avro behind a Confluent header'
_TIMES = "a text such as 2026-07-01T12:00:00.250+05:30, or milliseconds since 1970 UTC"


class Unacceptable(Exception):
    """A message that is not what the intake takes; the text says what would be right."""


class Reported(NamedTuple):
    """A view or click, as it was reported."""

    kind: Kind
    token: str
    received_us: int
    """Microseconds since 1970 UTC."""


class IntakeDecoder:
    """Reads messages, whatever Avro schema they were written with as long as it has our three fields."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._known: dict[int, Any] = {}

    def decode(self, message: bytes | None, timestamp_ms: int) -> Reported:
        """What it reports; `timestamp_ms` of the Kafka record counts where it names no time.

        Raises Unacceptable, StoreUnavailable.
        """
        content = self._content(message or b"")
        kind, token = KINDS.get(str(content.get("kind"))), content.get("token")
        if kind is None:
            raise Unacceptable(f"kind: must be {' or '.join(KINDS)}")
        if not isinstance(token, str):
            raise Unacceptable("token: must be the text that GET /banner gave out")
        time = content.get("time")
        return Reported(kind, token, timestamp_ms * 1000 if time is None else _microseconds(time))

    def _content(self, message: bytes) -> Mapping[str, Any]:
        content = self._avro(message) if message[:1] == b"\0" else _parsed(lambda: json.loads(message))
        if not isinstance(content, dict):
            raise Unacceptable(f"it must be {_FORMS}")
        return content

    def _avro(self, message: bytes) -> Any:
        try:
            schema_id, payload = unframe(message)
            writer = self._known.get(schema_id) or self._writer(schema_id)
        except (Malformed, UnknownSchema) as error:
            raise Unacceptable(str(error)) from error
        stream = BytesIO(payload)
        content = _parsed(lambda: schemaless_reader(stream, writer, None))
        if stream.tell() != len(payload):
            raise Unacceptable(f"{len(payload) - stream.tell()} bytes follow the record")
        return content

    def _writer(self, schema_id: int) -> Any:
        text = self._schemas.schema(schema_id)
        writer = _parsed(lambda: parse_schema(json.loads(text)))
        if len(self._known) < _MAX_SCHEMAS:
            self._known[schema_id] = writer
        return writer


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except Exception as error:  # json and fastavro raise whatever the bytes lead them to
        raise Unacceptable(f"it must be {_FORMS} ({type(error).__name__}: {error})") from error


def _microseconds(time: object) -> int:
    """Since 1970 UTC. Raises Unacceptable."""
    if isinstance(time, int) and not isinstance(time, bool):
        return time * 1000
    when = _parsed_time(time)
    if when.tzinfo is None:
        raise Unacceptable("time: must name its offset from UTC, such as +05:30 or Z")
    return (when - _EPOCH) // _MICROSECOND


def _parsed_time(time: object) -> datetime:
    """fastavro gives times as datetime already."""
    if isinstance(time, datetime):
        return time
    try:
        return datetime.fromisoformat(str(time))
    except ValueError as error:
        raise Unacceptable(f"time: must be {_TIMES}") from error

"""The bytes of a Kafka message, and reading what others put into the topic."""

import json
import random
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from bandit.event import BannerEvent, UndecodableEvent, decode, encode
from kafka_ingest.registry import FIRST_SHIPPED_ID, SHIPPED_DIRECTORY, ShippedSchemas, UnknownSchema
from kafka_ingest.wire import Decoder, Malformed, event_schema, frame, subject, unframe
from storage.base import StoreUnavailable
from tests.kafka.golden import EVENTS, NEWEST, SHIPPED_ID, messages
from tests.storage.events import Log, random_events, served

EVENT = served(1, journal=7, sequence=1)


class Known:
    """A registry that knows these schemas."""

    def __init__(self, schemas: Mapping[int, Any]) -> None:
        self._schemas = schemas
        self.asked: list[int] = []
        self.is_away = False

    def schema_id(self, subject: str, schema: str) -> int:
        return next(number for number, known in self._schemas.items() if known == json.loads(schema))

    def schema(self, schema_id: int) -> str:
        self.asked.append(schema_id)
        if self.is_away:
            raise StoreUnavailable("the registry is away")
        if schema_id not in self._schemas:
            raise UnknownSchema(f"no schema {schema_id}")
        return json.dumps(self._schemas[schema_id])


def changed(**fields: Any) -> Any:
    """Our schema with these fields instead; None removes one."""
    content = json.loads(event_schema())
    kept = [field for field in content["fields"] if field["name"] not in fields]
    content["fields"] = kept + [{"name": name, **field} for name, field in fields.items() if field is not None]
    return content


def written(schema: Any, **values: object) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(schema), EVENT._asdict() | values)
    return stream.getvalue()


@pytest.mark.parametrize("name", EVENTS)
def test_a_message_has_the_very_bytes_it_always_had(name: str) -> None:
    assert frame(SHIPPED_ID, encode(EVENTS[name])) == messages()[f"{NEWEST}/{name}"]


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("schema", [1, NEWEST])
def test_a_message_of_any_release_is_read(name: str, schema: int) -> None:
    assert Decoder(ShippedSchemas()).decode_message(messages()[f"{schema}/{name}"]) == EVENTS[name]


def test_the_payload_is_the_journals_unchanged() -> None:
    for record in Log().records(*random_events(random.Random(1), 50)):
        assert unframe(frame(300_000, record.payload)) == (300_000, record.payload)


def test_the_newest_shipped_schema_is_the_one_events_are_written_with() -> None:
    newest = max(SHIPPED_DIRECTORY.glob("*_banner_event.avsc"), key=lambda path: int(path.name.partition("_")[0]))
    assert json.loads(newest.read_text("utf-8")) == json.loads(event_schema())


def test_every_shipped_schema_has_a_number_of_its_own_and_is_found_by_it() -> None:
    shipped = ShippedSchemas()
    for path in SHIPPED_DIRECTORY.glob("*.avsc"):
        schema_id = shipped.schema_id("any", path.read_text("utf-8"))
        assert json.loads(shipped.schema(schema_id)) == json.loads(path.read_text("utf-8"))
    numbers = [path.name.partition("_")[0] for path in SHIPPED_DIRECTORY.glob("*.avsc")]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("schema_id", [0, 1, FIRST_SHIPPED_ID, FIRST_SHIPPED_ID + 99, 2**32 - 1])
def test_a_number_that_is_not_shipped_is_unknown(schema_id: int) -> None:
    with pytest.raises(UnknownSchema):
        ShippedSchemas().schema(schema_id)


def test_the_subject_is_named_after_the_topic() -> None:
    assert subject("banner-events") == "banner-events-value"


@pytest.mark.parametrize("message", [None, b"", b"\0\0\0\0", b"\1\0\0\0\1abc", b'{"kind": "served"}'])
def test_a_message_without_the_header_is_malformed(message: bytes | None) -> None:
    with pytest.raises(Malformed):
        unframe(message)
    with pytest.raises(UndecodableEvent):
        Decoder(ShippedSchemas()).decode_message(message)


def test_a_message_with_an_unknown_schema_is_undecodable_and_asked_for_again() -> None:
    schemas = Known({})
    decoder = Decoder(schemas)
    for _ in range(2):
        with pytest.raises(UndecodableEvent):
            decoder.decode_message(frame(5, encode(EVENT)))
    assert schemas.asked == [5, 5]


def test_a_registry_that_is_away_makes_no_message_undecodable() -> None:
    schemas = Known({5: changed()})
    schemas.is_away = True
    decoder = Decoder(schemas)
    with pytest.raises(StoreUnavailable):
        decoder.decode_message(frame(5, encode(EVENT)))
    schemas.is_away = False
    assert decoder.decode_message(frame(5, encode(EVENT))) == EVENT


def test_a_schema_is_asked_for_once() -> None:
    schemas = Known({5: changed()})
    decoder = Decoder(schemas)
    for _ in range(3):
        assert decoder.decode_message(frame(5, encode(EVENT))) == EVENT
    assert schemas.asked == [5]


def test_an_event_of_a_newer_schema_with_one_more_field_is_read() -> None:
    newer = changed(mood={"type": "string", "default": "fine"})
    message = frame(6, written(newer, mood="sunny"))
    assert Decoder(Known({6: newer})).decode_message(message) == EVENT


def test_an_event_of_an_older_schema_gets_the_default_of_a_field_it_lacks() -> None:
    older = changed(unrecognised_city=None)
    assert Decoder(Known({4: older})).decode_message(frame(4, written(older))) == EVENT


def test_an_event_of_a_schema_that_lacks_a_field_we_need_is_undecodable() -> None:
    foreign = changed(tenant=None)
    with pytest.raises(UndecodableEvent):
        Decoder(Known({4: foreign})).decode_message(frame(4, written(foreign)))


@pytest.mark.parametrize("foreign", ["string", {"type": "record", "name": "X", "fields": []}, {"type": "nothing"}, 7])
def test_a_schema_of_something_else_makes_its_messages_undecodable(foreign: Any) -> None:
    with pytest.raises(UndecodableEvent):
        Decoder(Known({4: foreign})).decode_message(frame(4, encode(EVENT)))


@pytest.mark.parametrize("schema_id", [SHIPPED_ID, 6])
def test_broken_bytes_are_undecodable_events_and_nothing_else(schema_id: int) -> None:
    rng = random.Random(2)
    newer = changed(mood={"type": "string", "default": "fine"})
    good = {SHIPPED_ID: encode(EVENT), 6: written(newer, mood="sunny")}[schema_id]
    decoder = Decoder(Known({SHIPPED_ID: changed(), 6: newer}))
    for payload in (b"", good[:-1], good + b"\0", b"\x06" + good[1:]):
        with pytest.raises(UndecodableEvent):
            decoder.decode_message(frame(schema_id, payload))
    for _ in range(2000):
        garbled = bytearray(good)
        garbled[rng.randrange(len(garbled))] = rng.randrange(256)
        with suppress(UndecodableEvent):
            assert isinstance(decoder.decode_message(frame(schema_id, bytes(garbled))), BannerEvent)


def test_decoding_a_message_equals_decoding_its_payload() -> None:
    decoder = Decoder(ShippedSchemas())
    for record in Log().records(*random_events(random.Random(3), 50)):
        assert decoder.decode_message(frame(SHIPPED_ID, record.payload)) == decode(record.payload)

"""Schemas in a real registry, and another implementation of the wire format that reads and writes with it."""

import json
import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from bandit.event import encode
from kafka_ingest.exchange import Endpoint, exchange
from kafka_ingest.registry import FIRST_SHIPPED_ID, Registry, ShippedSchemas, UnknownSchema, open_schemas
from kafka_ingest.wire import Decoder, event_schema, frame, subject, unframe
from services.registry import Registry as RunningRegistry
from storage.base import StoreUnavailable
from tests.kafka.golden import EVENTS
from tests.service_process import free_port

LOGIN = "Basic " + b64encode(b"banner:secret").decode()
PREFIX = "/gateway/registry"


@pytest.fixture
def topic() -> str:
    """A name nobody else uses."""
    return f"t-{secrets.token_hex(6)}"


@pytest.fixture
def confluent(registry: RunningRegistry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


@pytest.fixture
def ours(registry: RunningRegistry) -> Registry:
    return Registry(Endpoint(registry.url))


def changed(**fields: Any) -> str:
    """Our schema with these fields more."""
    content = json.loads(event_schema())
    content["fields"] += [{"name": name, **field} for name, field in fields.items()]
    return json.dumps(content)


EVOLVED = changed(mood={"type": "string", "default": "fine"})
INCOMPATIBLE = changed(mood={"type": "string"})


def level(registry: RunningRegistry, topic: str) -> Any:
    return exchange(Endpoint(registry.url), "GET", f"/config/{subject(topic)}").content


def test_a_schema_is_registered_once_and_found_by_its_number(ours: Registry, topic: str) -> None:
    number = ours.schema_id(subject(topic), event_schema())
    assert ours.schema_id(subject(topic), event_schema()) == number
    assert json.loads(ours.schema(number))["fields"] == json.loads(event_schema())["fields"]


def test_backward_compatibility_is_asked_for(ours: Registry, registry: RunningRegistry, topic: str) -> None:
    ours.schema_id(subject(topic), event_schema())
    assert level(registry, topic) == {"compatibilityLevel": "BACKWARD"}


def test_a_level_that_somebody_chose_stays(ours: Registry, registry: RunningRegistry, topic: str) -> None:
    exchange(
        Endpoint(registry.url),
        "PUT",
        f"/config/{subject(topic)}",
        {"compatibility": "FULL"},
        {"Content-Type": "application/json"},
    )
    ours.schema_id(subject(topic), event_schema())
    assert level(registry, topic) == {"compatibilityLevel": "FULL"}


def test_an_evolved_schema_is_taken_and_events_are_read_both_ways(
    ours: Registry, confluent: SchemaRegistryClient, topic: str
) -> None:
    old = ours.schema_id(subject(topic), event_schema())
    new = ours.schema_id(subject(topic), EVOLVED)
    assert new != old
    event = EVENTS["everything"]
    mood = b"\x0asunny"
    assert Decoder(ours).decode_message(frame(new, encode(event) + mood)) == event
    assert Decoder(ours).decode_message(frame(old, encode(event))) == event
    context = SerializationContext(topic, MessageField.VALUE)
    read = AvroDeserializer(confluent, EVOLVED)(frame(old, encode(event)), context)
    assert read == event._asdict() | {"mood": "fine"}


def test_a_schema_that_could_not_read_what_was_written_is_refused_in_words(ours: Registry, topic: str) -> None:
    ours.schema_id(subject(topic), event_schema())
    with pytest.raises(StoreUnavailable, match=f"does not go with those of the subject {subject(topic)}"):
        ours.schema_id(subject(topic), INCOMPATIBLE)


@pytest.mark.parametrize("name", EVENTS)
def test_another_implementation_reads_what_we_write(
    ours: Registry, confluent: SchemaRegistryClient, topic: str, name: str
) -> None:
    number = ours.schema_id(subject(topic), event_schema())
    context = SerializationContext(topic, MessageField.VALUE)
    read = AvroDeserializer(confluent, event_schema())(frame(number, encode(EVENTS[name])), context)
    assert read == EVENTS[name]._asdict()


@pytest.mark.parametrize("name", EVENTS)
def test_we_read_what_another_implementation_writes(
    ours: Registry, confluent: SchemaRegistryClient, topic: str, name: str
) -> None:
    serializer = AvroSerializer(confluent, event_schema(), lambda event, _context: event._asdict())
    message = serializer(EVENTS[name], SerializationContext(topic, MessageField.VALUE))
    assert Decoder(ours).decode_message(message) == EVENTS[name]
    assert unframe(message)[1] == encode(EVENTS[name])


def test_a_number_that_nobody_registered_is_unknown(ours: Registry) -> None:
    with pytest.raises(UnknownSchema):
        ours.schema(1_999_999_999)


def test_shipped_schemas_are_known_beside_those_of_the_registry(ours: Registry) -> None:
    shipped = ShippedSchemas().schema_id("any", event_schema())
    assert shipped > FIRST_SHIPPED_ID
    assert Decoder(ours).decode_message(frame(shipped, encode(EVENTS["served"]))) == EVENTS["served"]


def test_a_registry_behind_a_path_and_a_login_is_used(registry: RunningRegistry, topic: str) -> None:
    with gateway(registry.url) as url:
        number = open_schemas(url, "banner", "secret").schema_id(subject(topic), event_schema())
        assert json.loads(open_schemas(f"{url}/", "banner", "secret").schema(number))["name"] == "BannerEvent"
        for password in ("", "wrong"):
            with pytest.raises(StoreUnavailable, match=r"kafka\.registry_password"):
                open_schemas(url, "banner", password).schema_id(subject(topic), event_schema())


def test_an_address_that_is_no_registry_is_said_to_be_none(registry: RunningRegistry, topic: str) -> None:
    elsewhere = registry.url.partition("/apis")[0] + "/nowhere"
    with pytest.raises(StoreUnavailable, match=r"kafka\.registry_url"):
        open_schemas(elsewhere).schema_id(subject(topic), event_schema())


def test_a_registry_that_is_away_is_said_to_be() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        open_schemas(f"http://127.0.0.1:{free_port()}").schema_id("any", event_schema())


class _Gateway(BaseHTTPRequestHandler):
    target: str

    def _forward(self) -> None:
        if self.headers["Authorization"] != LOGIN:
            self._answer(401, b'{"error_code": 40101, "message": "who are you?"}')
            return
        assert self.path.startswith(PREFIX), self.path
        length = int(self.headers.get("Content-Length", 0))
        request = Request(
            self.target + self.path.removeprefix(PREFIX),
            method=self.command,
            data=self.rfile.read(length) if length else None,
            headers={"Content-Type": self.headers.get("Content-Type", "application/json")},
        )
        try:
            with urlopen(request, timeout=30) as response:
                self._answer(response.status, response.read())
        except HTTPError as error:
            with error:
                self._answer(error.code, error.read())

    do_GET = do_POST = do_PUT = _forward  # noqa: N815

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def gateway(target: str) -> Iterator[str]:
    """The registry again, under a path of its own, for those who log in."""
    assert urlsplit(target).scheme == "http"
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Gateway", (_Gateway,), {"target": target}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

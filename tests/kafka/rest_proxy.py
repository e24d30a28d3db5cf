"""A Kafka REST proxy (v2) for tests: the published protocol in front of a real Kafka.

It follows https://docs.confluent.io/platform/current/kafka-rest/api.html, and can answer as either of two kinds of
proxies does where they differ. `faults` are answers it gives before it looks at a request.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from typing import Any

from fastavro import json_reader, parse_schema, schemaless_writer
from kafka import KafkaProducer
from kafka.errors import KafkaError

from kafka_ingest.registry import Schemas
from kafka_ingest.wire import frame, subject

V2, JSON_V2 = "application/vnd.kafka.v2+json", "application/vnd.kafka.json.v2+json"
AVRO_V2 = "application/vnd.kafka.avro.v2+json"
Said = tuple[int, Any]
"""Status and body of an answer."""


@dataclass
class Kind:
    """Where proxies differ."""

    content_type: str = V2
    says_null_errors: bool = True
    """Each written record has error and error_code, both null; else neither."""
    bad_record_status: int = 422
    missing_topic_is_an_answer: bool = False
    """200, with error_code 50002 for each record; else 404."""


ONE, ANOTHER = Kind(JSON_V2, False, 422, False), Kind(V2, True, 400, True)


@dataclass
class Proxy:
    """A running proxy, and what it was asked."""

    bootstrap: str
    schemas: Schemas
    kind: Kind
    login: str = ""
    url: str = ""
    faults: list[Said] = field(default_factory=list)
    """Answers for the next requests to produce, in order."""
    rejects: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _value: None
    """What to say of this record instead of writing it."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    producer: KafkaProducer | None = None

    def partitions(self, topic: str) -> list[dict[str, int]] | None:
        assert self.producer is not None
        self.producer.config["max_block_ms"] = 500
        try:
            return [{"partition": number} for number in sorted(self.producer.partitions_for(topic))]
        except KafkaError:
            return None

    def produce(self, topic: str, body: dict[str, Any]) -> Said:
        self.bodies.append(body)
        if self.faults:
            return self.faults.pop(0)
        if self.partitions(topic) is None:
            return self._missing(len(body["records"]))
        try:
            schema_id, payloads = self._encode(topic, body)
        except Exception as error:  # whatever a value that is not of the schema leads fastavro to
            return self.kind.bad_record_status, {"error_code": 42205, "message": f"bad record: {error}"}
        outcomes = [
            self.rejects(record["value"]) or self._write(topic, record["partition"], frame(schema_id, payload))
            for record, payload in zip(body["records"], payloads, strict=True)
        ]
        return 200, {"key_schema_id": None, "value_schema_id": schema_id, "offsets": outcomes}

    def _missing(self, count: int) -> Said:
        if not self.kind.missing_topic_is_an_answer:
            return 404, {"error_code": 40401, "message": "Topic not found."}
        outcome = {"error": "This server does not host this topic-partition", "error_code": 50002}
        return 200, {"offsets": [outcome] * count}

    def _encode(self, topic: str, body: dict[str, Any]) -> tuple[int, list[bytes]]:
        text = body.get("value_schema")
        schema_id = self.schemas.schema_id(subject(topic), text) if text else int(body["value_schema_id"])
        schema = parse_schema(json.loads(self.schemas.schema(schema_id)))
        return schema_id, [_binary(schema, record["value"]) for record in body["records"]]

    def _write(self, topic: str, partition: int, value: bytes) -> dict[str, Any]:
        assert self.producer is not None
        written = self.producer.send(topic, value, partition=partition).get(timeout=30)
        outcome: dict[str, Any] = {"partition": partition, "offset": written.offset}
        return outcome | {"error": None, "error_code": None} if self.kind.says_null_errors else outcome


def _binary(schema: Any, value: Any) -> bytes:
    (event,) = json_reader(StringIO(json.dumps(value)), schema)
    stream = BytesIO()
    schemaless_writer(stream, schema, event)
    return stream.getvalue()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, _, topic, what = self.path.split("/")
        assert what == "partitions"
        found = self.proxy.partitions(topic)
        self._answer((404, {"error_code": 40401, "message": "Topic not found."}) if found is None else (200, found))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Content-Type"] != AVRO_V2:
            self._answer((415, {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}))
            return
        self._answer(self.proxy.produce(self.path.removeprefix("/topics/"), body))

    def _answer(self, said: Said) -> None:
        if self.proxy.login and self.headers["Authorization"] != self.proxy.login:
            said = 401, {"error_code": 401, "message": "Unauthorized"}
        status, content = said
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", self.proxy.kind.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def running(bootstrap: str, schemas: Schemas, kind: Kind, *, login: str = "") -> Iterator[Proxy]:
    """The proxy, on a free port."""
    proxy = Proxy(bootstrap, schemas, kind, login)
    proxy.producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), allow_auto_create_topics=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="rest proxy")
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        proxy.producer.close()

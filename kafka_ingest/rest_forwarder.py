"""The sink of the distributed mode where brokers cannot be reached but through a Kafka REST proxy (v2).

https://docs.confluent.io/platform/current/kafka-rest/api.html#post--topics-(string-topic_name). Proxies differ in what
they answer; whatever is not clearly a refusal of a record is tried again.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from bandit.event import UndecodableEvent, decode
from kafka_ingest.delay import TOO_LATE, is_too_late
from kafka_ingest.exchange import Answer, Endpoint, exchange
from kafka_ingest.registry import FIRST_SHIPPED_ID, Schemas
from kafka_ingest.wire import event_schema, subject
from storage.base import EventSink, Record, Refusal, StoreUnavailable

_HEADERS = {
    "Content-Type": "application/vnd.kafka.avro.v2+json",
    "Accept": "application/vnd.kafka.v2+json, application/vnd.kafka.json.v2+json, application/json",
}
_REFUSES_RECORDS = (400, 413, 422)
"""Statuses that are about what was sent. Others are about the proxy, the login or the topic: they pass."""
_FINAL_ERRORS = (1, 50002)
"""error_code of a record that Kafka will never take, in either of the numberings that proxies use."""

Sendable = tuple[Record, Any]
"""A record and its value in Avro's JSON encoding."""


class RestForwarder(EventSink):
    """Delivers when the proxy has confirmed every record. Creates no topic."""

    def __init__(
        self, proxy: Endpoint, topic: str, schemas: Schemas, *, window_records: int, now_us: Callable[[], int]
    ) -> None:
        """At most window_records go into one request. Connects when it first delivers."""
        self._proxy = proxy
        self._topic = topic
        self._schemas = schemas
        self._window_records = window_records
        self._now_us = now_us
        self._value_schema: dict[str, Any] = {}

    def deliver(self, records: Sequence[Record]) -> list[Refusal]:
        partitions = self.partition_count()
        refusals: list[Refusal] = []
        sendable: list[Sendable] = []
        for record in records:
            try:
                sendable.append((record, self._value(record, partitions)))
            except UndecodableEvent as error:
                refusals.append(Refusal(record, str(error)))
        for start in range(0, len(sendable), self._window_records):
            refusals += self._send(sendable[start : start + self._window_records])
        return refusals

    def partition_count(self) -> int:
        """Of the topic. Raises StoreUnavailable, also where there is none."""
        headers = {"Accept": _HEADERS["Accept"]}
        answer = exchange(self._proxy, "GET", f"/topics/{self._topic}/partitions", headers=headers)
        if answer.status != 200 or not isinstance(answer.content, list):
            raise self._trouble(f"it shows no partitions ({answer.reason()}); the topic has to be made first")
        return len(answer.content)

    def _value(self, record: Record, partitions: int) -> Any:
        """Raises UndecodableEvent, with the reason, for what must not go into the topic."""
        if record.shard >= partitions:
            raise UndecodableEvent(f"its shard {record.shard} is none of the {partitions} partitions of {self._topic}")
        if is_too_late(record, self._now_us()):
            raise UndecodableEvent(TOO_LATE)
        return tagged(record.payload)

    def _send(self, batch: Sequence[Sendable]) -> list[Refusal]:
        """A request that is refused as a whole is halved until the record is alone that is to blame."""
        answer = self._produce(batch)
        if answer.status in _REFUSES_RECORDS:
            if len(batch) == 1:
                return self._refused(batch[0][0], answer.reason())
            middle = len(batch) // 2
            return self._send(batch[:middle]) + self._send(batch[middle:])
        if answer.status != 200:
            raise self._trouble(answer.reason())
        return self._refusals(batch, answer)

    def _produce(self, batch: Sequence[Sendable]) -> Answer:
        records = [{"partition": record.shard, "value": value} for record, value in batch]
        body = {**self._schema(), "records": records}
        return exchange(self._proxy, "POST", f"/topics/{self._topic}", body, _HEADERS)

    def _schema(self) -> dict[str, Any]:
        """By its number where the proxy's registry must know it, else as text, which the proxy registers."""
        if not self._value_schema:
            schema_id = self._schemas.schema_id(subject(self._topic), event_schema())
            is_shipped = schema_id > FIRST_SHIPPED_ID
            self._value_schema = {"value_schema": event_schema()} if is_shipped else {"value_schema_id": schema_id}
        return self._value_schema

    def _refusals(self, batch: Sequence[Sendable], answer: Answer) -> list[Refusal]:
        """Of the records the proxy answers for one by one. Raises StoreUnavailable unless all others are written."""
        refusals = []
        for (record, _), outcome in zip(batch, self._outcomes(answer, len(batch)), strict=True):
            code = outcome.get("error_code")
            if code in _FINAL_ERRORS:
                refusals += self._refused(record, str(outcome.get("error")))
            elif code is not None or outcome.get("error") or outcome.get("offset") is None:
                raise self._trouble(f"error_code {code}: {outcome.get('error')}")
        return refusals

    def _outcomes(self, answer: Answer, count: int) -> list[dict[str, Any]]:
        found = answer.content.get("offsets") if isinstance(answer.content, dict) else None
        if not isinstance(found, list) or len(found) != count or not all(isinstance(one, dict) for one in found):
            raise self._trouble("its answer is not that of a Kafka REST proxy; is kafka.rest_url right?")
        return found

    def _refused(self, record: Record, reason: str) -> list[Refusal]:
        """Some proxies answer so where in truth the topic is missing, and then no record is to blame."""
        self.partition_count()
        return [Refusal(record, f"the Kafka REST proxy does not take it: {reason}")]

    def _trouble(self, problem: str) -> StoreUnavailable:
        return StoreUnavailable(f"Kafka REST proxy {self._proxy.url}, topic {self._topic}: {problem}")


def tagged(payload: bytes) -> dict[str, Any]:
    """The event in Avro's JSON encoding, in which a value of a union carries its type: {"string": "mail"}.

    Raises UndecodableEvent. https://avro.apache.org/docs/1.12.0/specification/#json-encoding
    """
    values = {name: _text(value) for name, value in decode(payload)._asdict().items()}
    for name, branch in _unions().items():
        if values[name] is not None:
            values[name] = {branch: values[name]}
    return values


def _text(value: Any) -> Any:
    """Bytes as a text of as many letters."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


@cache
def _unions() -> dict[str, str]:
    """The fields that may be null, and the type they have if they are not."""
    fields = json.loads(event_schema())["fields"]
    return {field["name"]: field["type"][1] for field in fields if isinstance(field["type"], list)}

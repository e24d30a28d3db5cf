"""Which number stands for which Avro schema: a Confluent-compatible registry, or the schemas shipped with the product.

Shipped schemas have numbers that no registry reaches, so both kinds may lie in one topic.
"""

import json
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from kafka_ingest.exchange import Answer, Endpoint, exchange
from storage.base import StoreUnavailable

SHIPPED_DIRECTORY = Path(__file__).with_name("schemas")
"""Files `<number>_<name>.avsc`. One that was ever released stays as it is; a changed schema is a new file."""
FIRST_SHIPPED_ID = 2_000_000_000
"""Registries count from 1, and ids are signed 32-bit numbers."""

_TYPE = "application/vnd.schemaregistry.v1+json"
_HEADERS = {"Content-Type": _TYPE, "Accept": f"{_TYPE}, application/json"}
COMPATIBILITY = "BACKWARD"
"""Whoever reads with the newest schema can read all that was written before."""


class UnknownSchema(Exception):
    """There is no schema of this number."""


class Schemas(Protocol):
    """Where schemas have numbers."""

    def schema_id(self, subject: str, schema: str) -> int:
        """The number of this schema (Avro JSON). Raises StoreUnavailable."""

    def schema(self, schema_id: int) -> str:
        """The schema of this number. Raises UnknownSchema, StoreUnavailable."""


class ShippedSchemas:
    """The schemas in the repository: for installations without a registry."""

    def schema_id(self, subject: str, schema: str) -> int:  # noqa: ARG002
        wanted = json.loads(schema)
        for path in SHIPPED_DIRECTORY.glob("*.avsc"):
            if json.loads(path.read_text("utf-8")) == wanted:
                return FIRST_SHIPPED_ID + int(path.name.partition("_")[0])
        raise ValueError(f"this schema is not one of those in {SHIPPED_DIRECTORY}")

    def schema(self, schema_id: int) -> str:
        for path in SHIPPED_DIRECTORY.glob(f"{schema_id - FIRST_SHIPPED_ID}_*.avsc"):
            return path.read_text("utf-8")
        raise UnknownSchema(f"no schema of id {schema_id} is shipped, and no registry is configured")


class Registry:
    """Any registry that speaks the Confluent protocol (Confluent, Apicurio's ccompat, Karapace, Redpanda)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._shipped = ShippedSchemas()

    def schema_id(self, subject: str, schema: str) -> int:
        """Registers the schema if it is new. A subject without a compatibility level of its own gets BACKWARD."""
        self._require_compatibility(subject)
        answer = self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": schema})
        if answer.status == 409:
            raise self._trouble(f"our schema does not go with those of the subject {subject}", answer)
        return int(self._content(answer)["id"])

    def schema(self, schema_id: int) -> str:
        if schema_id > FIRST_SHIPPED_ID:
            return self._shipped.schema(schema_id)
        answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        if answer.status == 404:
            raise UnknownSchema(f"the registry knows no schema of id {schema_id}")
        return str(self._content(answer)["schema"])

    def _require_compatibility(self, subject: str) -> None:
        """Whoever runs the registry may have chosen a level; it stays."""
        path = f"/config/{quote(subject, safe='')}"
        answer = self._ask("GET", path)
        if answer.status == 404:
            answer = self._ask("PUT", path, {"compatibility": COMPATIBILITY})
        self._content(answer)

    def _ask(self, method: str, path: str, body: object = None) -> Answer:
        return exchange(self._endpoint, method, path, body, _HEADERS)

    def _content(self, answer: Answer) -> dict[str, Any]:
        if answer.status in (401, 403):
            raise self._trouble("it wants another kafka.registry_username or kafka.registry_password", answer)
        if answer.status != 200 or not isinstance(answer.content, dict):
            raise self._trouble("is kafka.registry_url the base address, with its path?", answer)
        return answer.content

    def _trouble(self, problem: str, answer: Answer) -> StoreUnavailable:
        return StoreUnavailable(f"schema registry {self._endpoint.url}: {problem} ({answer.reason()})")


def open_schemas(url: str, username: str = "", password: str = "") -> Schemas:
    """The registry at this address; without one, what is shipped. Connects to nothing yet."""
    return Registry(Endpoint(url, username, password)) if url else ShippedSchemas()

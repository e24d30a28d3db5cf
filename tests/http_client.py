"""The smallest HTTP client the tests need: one request, one answer, nothing kept open."""

import json as json_format
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any

TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What came back; redirects are not followed."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body read as JSON."""
        return json_format.loads(self.body)


def request(
    host: str,
    port: int,
    method: str,
    path: str,
    *,
    json: Any = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
) -> Answer:
    """Send one request: `json` is encoded for you, `key` goes into the Authorization header.

    Raises OSError or http.client.HTTPException when no whole answer comes back.
    """
    sent = dict(headers or {})
    if json is not None:
        body = json_format.dumps(json).encode()
        sent.setdefault("Content-Type", "application/json")
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()

"""A client of the service over a few connections that stay open."""

import json
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from typing import Any, Self
from urllib.parse import urlsplit

CONNECTIONS = 4
"""The kernel spreads connections over the service's workers; a single one would keep a single worker busy."""
TIMEOUT_SECONDS = 10.0
PATIENCE_SECONDS = 15.0
"""How long to try again while the service does not answer or asks to come back later."""
PAUSE_SECONDS = 0.3


class NoService(Exception):
    """Nobody answers at this address, or not as the service would; the message says what would help."""


class Client:
    """Calls with one key; not for several threads."""

    def __init__(self, url: str, key: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Nothing is sent yet. ValueError when the URL is not http://host[:port]."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url!r} is not an address such as http://127.0.0.1:8000")
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._patience_seconds = patience_seconds
        host, port = parts.hostname, parts.port
        self._connections = [HTTPConnection(host, port, timeout=TIMEOUT_SECONDS) for _ in range(CONNECTIONS)]
        self._in_turn = cycle(self._connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    def get(self, path_and_query: str) -> Any:
        """The JSON answered to a GET, None where it is empty. Raises NoService."""
        return self._call("GET", path_and_query, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answered to a POST of JSON. Raises NoService."""
        return self._call("POST", path, json.dumps(body).encode())

    def _call(self, method: str, path: str, body: bytes | None) -> Any:
        """Try until there is an answer: a repeated impression is another one, and a repeated click counts once."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                status, content = self._once(method, path, body)
            except (OSError, HTTPException) as error:
                trouble = f"no service answers at {self._url} ({error}); start it with: make run"
            else:
                if status < 300:
                    return json.loads(content) if content else None
                trouble = (
                    f"{self._url} answered {status} to {method} {path.partition('?')[0]}: {content.decode()[:200]}"
                )
                if status not in (429, 500, 502, 503):
                    raise NoService(trouble)
            if time.monotonic() > deadline:
                raise NoService(trouble)
            time.sleep(PAUSE_SECONDS)

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = next(self._in_turn)
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            connection.close()  # the next call on it opens a new one
            raise

"""One HTTP request to a registry or proxy, with what goes wrong on the way told as StoreUnavailable.

TLS trusts what OpenSSL trusts; the environment variable SSL_CERT_FILE names another list of authorities.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from storage.base import StoreUnavailable

_MAX_ANSWER_BYTES = 16 << 20


class Endpoint(NamedTuple):
    """Where a server is and how to log in."""

    url: str
    """http(s)://host[:port][/path]."""
    username: str = ""
    """Empty: without a login."""
    password: str = ""
    timeout_seconds: float = 10.0


class Answer(NamedTuple):
    """What the server said."""

    status: int
    content: Any
    """The JSON of the body; None where it is none."""

    def reason(self) -> str:
        """In the server's words, as far as it has any."""
        if not isinstance(self.content, dict):
            return f"status {self.status}"
        message, code = self.content.get("message"), self.content.get("error_code")
        return f"status {self.status}, error_code {code}: {message}"


def exchange(
    endpoint: Endpoint, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer, whatever its status; `body` is sent as JSON. Raises StoreUnavailable where none comes."""
    request = Request(
        endpoint.url.rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={**_login(endpoint), **(headers or {})},
    )
    try:
        with urlopen(request, timeout=endpoint.timeout_seconds) as response:
            return Answer(response.status, _json(response.read(_MAX_ANSWER_BYTES)))
    except HTTPError as error:
        with error:
            return Answer(error.code, _json(_rest(error)))
    except (OSError, HTTPException) as error:
        raise StoreUnavailable(f"{endpoint.url} does not answer: {error or type(error).__name__}") from error


def _rest(error: HTTPError) -> bytes:
    try:
        return error.read(_MAX_ANSWER_BYTES)
    except (OSError, HTTPException):  # the status says enough
        return b""


def _login(endpoint: Endpoint) -> dict[str, str]:
    if not endpoint.username:
        return {}
    pair = f"{endpoint.username}:{endpoint.password}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode()}"}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None

"""What goes in and out of the door: the two small dataclasses, and bodies of bounded size."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from web.errors import ApiError

KIB = 1024
BODY_LIMITS = {"/click": 16 * KIB, "/view": 16 * KIB, "/page": 16 * KIB, "/events": 512 * KIB}
JSON = ("Content-Type", "application/json")
NO_STORE = ("Cache-Control", "no-store")

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Request:
    """One hot call."""

    method: str
    path: str
    query: str
    environ: Mapping[str, Any]
    """WSGI's environ, for headers and the body."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> "Request":
        """What a WSGI server hands over."""
        return cls(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""), environ)


@dataclass(slots=True)
class Response:
    """Its answer."""

    status: int
    headers: Headers
    body: bytes


@lru_cache(maxsize=64)
def address(scheme: str, host: str) -> bytes:
    """Where a request was sent to, by its Host header. Raises ValueError, which is not remembered, for no host."""
    if not _HOST.fullmatch(host):
        raise ValueError("not a host")
    return f"{scheme}://{host}".encode()


def read_body(request: Request) -> bytes:
    """The body. Raises ApiError (413) when it is larger than its call allows."""
    limit = BODY_LIMITS[request.path]
    text = request.environ.get("CONTENT_LENGTH") or "0"
    length = int(text) if text.isdecimal() else 0
    if length > limit:
        raise ApiError(413, "too_large", f"the body may have at most {limit} bytes")
    body: bytes = request.environ["wsgi.input"].read(length if length else limit + 1)
    if len(body) > limit:
        raise ApiError(413, "too_large", f"the body may have at most {limit} bytes")
    return body


def json_response(status: int, value: Any) -> Response:
    """A value as JSON."""
    return Response(status, [JSON, NO_STORE], orjson.dumps(value))


def refusal(error: ApiError) -> Response:
    """An error in the one shape."""
    return Response(error.status, [JSON, NO_STORE, *error.headers], orjson.dumps(error.body()))

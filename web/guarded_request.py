"""Reading a request's body: never more than its route allows, and JSON only through the guard."""

from collections.abc import Iterator
from typing import Any

import flask

from web import json_guard
from web.errors import ApiError

BODY_BYTES = 64 << 10
"""How large a body may be where a route says nothing else."""
CHUNK_BYTES = 64 << 10


class GuardedRequest(flask.Request):
    """A request that refuses by itself what no view wants to see."""

    body_bytes = BODY_BYTES
    """The limit of the route."""

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece. Raises ApiError (413) once it is larger than the route allows."""
        self._check_size(self.content_length or 0)
        size = 0
        while chunk := self.stream.read(CHUNK_BYTES):
            size += len(chunk)
            self._check_size(size)
            yield chunk

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002
        """The body, which must be a JSON object. Raises ApiError for everything else, whatever the arguments."""
        if not self.is_json:
            raise ApiError(415, "media_type", "Content-Type must be application/json", "Content-Type")
        value = json_guard.parse(b"".join(self.chunks()))
        if not isinstance(value, dict):
            raise ApiError(400, "bad_json", "the body must be a JSON object", "body")
        return value

    def require_type(self, *accepted: str) -> str:
        """The body's media type, one of these. Raises ApiError (415)."""
        if self.mimetype not in accepted:
            raise ApiError(415, "media_type", f"Content-Type must be {' or '.join(accepted)}", "Content-Type")
        return self.mimetype

    def _check_size(self, size: int) -> None:
        if size > self.body_bytes:
            raise ApiError(413, "too_large", f"the body may have at most {self.body_bytes} bytes")

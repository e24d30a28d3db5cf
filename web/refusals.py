"""Every way a call can fail, in the one shape of an error: ours, the framework's, and those nobody expected."""

import errno
import logging
import re
from typing import NoReturn

from flask import Flask, Response, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as AnyResponse

from storage.base import StoreUnavailable
from web.errors import ApiError, printable

log = logging.getLogger(__name__)
# A path is logged as %r: it is decoded, and a line break in it would make a line of the log that nobody wrote.

RETRY_AFTER_SECONDS = 5
_WAIT = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SUBJECT = re.compile(r"^(?:Value error, |Input |Value |String |List |Dictionary )")


def answer_errors(app: Flask) -> None:
    """Answer every failure of the application's views."""
    app.register_error_handler(ApiError, _answer)
    app.register_error_handler(StoreUnavailable, _of_the_store)
    app.register_error_handler(HTTPException, _of_the_framework)
    app.register_error_handler(OSError, _of_the_machine)
    app.register_error_handler(Exception, _unexpected)


def refuse_invalid(error: ValidationError) -> NoReturn:
    """Name the first thing that is wrong with a request, and what would be right."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = printable(".".join(str(part) for part in first["loc"] if part != "[key]") or "body")
    if first["type"] == "missing":
        raise ApiError(400, "missing", f"{field} is required", field)
    raise ApiError(400, "bad_value", f"{field} {_SUBJECT.sub('', first['msg'])}", field)


def _answer(error: ApiError) -> Response:
    response = jsonify(error.body())
    response.status_code = error.status
    response.headers.extend(error.headers)
    return response


def _of_the_store(error: StoreUnavailable) -> Response:
    log.warning("%s %r: the store is away: %s", request.method, request.path, error)
    return _answer(ApiError(503, "store", "the store cannot be reached now, please try again", headers=_WAIT))


def _of_the_framework(error: HTTPException) -> Response | AnyResponse:
    status = error.code or 500
    if status < 400:
        return error.get_response(request.environ)
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return _answer(ApiError(405, "method", f"this takes {allowed}", headers=(("Allow", allowed),)))
    if isinstance(error, NotFound):
        return _answer(ApiError(404, "unknown", "there is no such path; /docs lists all"))
    return _answer(ApiError(status, "bad_request", str(error.description)))


def _of_the_machine(error: OSError) -> Response:
    if error.errno not in _DISK_IS_FULL:
        return _unexpected(error)
    log.error("%s %r: %s", request.method, request.path, error.strerror)
    return _answer(ApiError(503, "disk", "there is no room on the disk now, please try again", headers=_WAIT))


def _unexpected(error: Exception) -> Response:
    log.error("%s %r failed", request.method, request.path, exc_info=error)
    return _answer(ApiError(500, "internal", "something went wrong here; the log says what"))

"""Reading JSON from strangers: what a lenient parser would let through or stumble over is refused, with the reason."""

import json
import re
from collections import Counter
from typing import Any

from web.errors import ApiError

MAX_NESTING = 16
MAX_SHOWN = 64
"""Characters of a stranger's name that an answer repeats."""
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]:,]', re.DOTALL)


class _Constant(str):
    """NaN or an infinity, until it is known which field holds it."""

    __slots__ = ()


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises ApiError (400) that says what is wrong with it, and nearest to which field."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal("the body must be UTF-8", _field_at(body[: error.start].decode("utf-8"))) from None
    _check_nesting(text)
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_Constant)
    except ValueError as error:
        raise _refusal(f"the body must be JSON: {error}") from None
    if "\\u" in text or "NaN" in text or "Infinity" in text:
        _check_leaves(value, None)
    return value


def _check_nesting(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_NESTING:
        return
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "{[":
            depth += 1
            if depth > MAX_NESTING:
                message = f"the body must not be nested deeper than {MAX_NESTING}"
                raise _refusal(message, _field_at(text[: token.start()]))
        elif token[0] in "}]":
            depth -= 1


def _field_at(text: str) -> str | None:
    """The field whose value a JSON text breaks off in."""
    field: str | None = None
    around: list[str | None] = []
    before = ""
    for token in _TOKEN.findall(text):
        if token in "{[":
            around.append(field)
        elif token in "}]":
            field = around.pop() if around else None
        elif token == ",":
            field = around[-1] if around else None
        elif token == ":":
            field = before[1:-1] or None
        before = token
    return field


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise _refusal("every name may stand once in an object", twice)
    return value


def _check_leaves(value: Any, field: str | None) -> None:
    if isinstance(value, dict):
        for name, held in value.items():
            _check_text(name, field)
            _check_leaves(held, name)
    elif isinstance(value, list):
        for held in value:
            _check_leaves(held, field)
    elif isinstance(value, _Constant):
        raise _refusal(f"{value} is not a JSON number", field)
    elif isinstance(value, str):
        _check_text(value, field)


def _check_text(text: str, field: str | None) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _refusal("text must not hold half of a surrogate pair", field) from None


def _refusal(message: str, field: str | None = None) -> ApiError:
    shown = field[:MAX_SHOWN] if field is not None and field.isprintable() else None
    return ApiError(400, "bad_json", message, shown)

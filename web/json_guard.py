"""Reading JSON from strangers: what a lenient parser would let through or stumble over is refused, with the reason."""

import json
from collections import Counter
from typing import Any, NoReturn

from web.errors import ApiError

MAX_NESTING = 16


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises ApiError (400) that says what is wrong with it."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _refusal("the body must be UTF-8") from None
    _check_nesting(text)
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except ValueError as error:
        raise _refusal(f"the body must be JSON: {error}") from None
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _check_nesting(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_NESTING:
        return
    depth, in_string, escaped = 0, False, False
    for letter in text:
        if in_string:
            in_string = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            in_string = True
        elif letter in "{[":
            depth += 1
            if depth > MAX_NESTING:
                raise _refusal(f"the body must not be nested deeper than {MAX_NESTING}")
        elif letter in "}]":
            depth -= 1


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise _refusal("every name may stand once in an object", twice)
    return value


def _no_constant(name: str) -> NoReturn:
    raise _refusal(f"{name} is not a JSON number")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _refusal("text must not hold half of a surrogate pair") from None


def _refusal(message: str, field: str | None = None) -> ApiError:
    return ApiError(400, "bad_json", message, field if field is None or field.isprintable() else None)

"""What strangers send as JSON."""

import json

import pytest

from web.errors import ApiError
from web.json_guard import MAX_NESTING, parse


def test_ordinary_json_is_read() -> None:
    assert parse(b'{"a": [1, 2.5, null, true, "\xc3\xa9 \\ud83d\\ude00 [[[[[[[[[[[[[[[[[["]}')["a"][4][0] == "é"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "must be JSON"),
        (b"{", "must be JSON"),
        (b"\xff", "UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1, "a": 2}', "once"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "nested"),
        (b"[" * 30_000, "nested"),
        (b'{"a":' * 30_000, "nested"),
    ],
)
def test_what_a_parser_would_stumble_over_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ApiError, match=words) as refusal:
        parse(body)
    assert refusal.value.status == 400


def test_a_repeated_name_is_named() -> None:
    with pytest.raises(ApiError) as refusal:
        parse(b'{"b": {"token": 1, "token": 2}}')
    assert refusal.value.field == "token"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"a": {"token": NaN}}', "token"),
        (b'{"a": {"b": 1}, "token": [1, [Infinity]]}', "token"),
        (b"[NaN]", None),
        (b'{"a": {"b": 1}, "token": ["\\ud800"]}', "token"),
        (b'{"token": {"\\ud800": 1}}', "token"),
        (b'{"a": "x\\"y", "token": "\xff"}', "token"),
        (b'{"a": [{"b": 1}], "to\xff": 1}', None),
        (b"\xff", None),
        (b'{"a": [{"b": "}:,"}, 1], "token": ' + b"[" * 1000, "token"),
        (b"[" * 1000, None),
        (b'{"":' * 1000, None),
        (b":" + b"}" * 20 + b"[" * 20, None),
        (b'{"' + b"x" * 1000 + b'": NaN}', "x" * 64),
    ],
)
def test_the_nearest_field_is_named(body: bytes, field: str | None) -> None:
    with pytest.raises(ApiError) as refusal:
        parse(body)
    assert refusal.value.field == field


def test_text_may_look_like_what_is_refused() -> None:
    value = {"a": "NaN", "b": "-Infinity", "c": '\\" [[[[[[[[[[[[[[[[[[[['}
    assert parse(json.dumps(value).encode()) == value


def test_a_text_without_end_is_refused_in_one_go() -> None:
    with pytest.raises(ApiError, match="JSON"):
        parse(b"[" + b'"\\' * 250_000 + b"[" * 100)


def test_as_deep_as_allowed_is_read() -> None:
    assert parse(b"[" * MAX_NESTING + b"]" * MAX_NESTING)
    assert parse(b"[" + b",".join([b"[]"] * 100) + b"]")

"""What strangers may send: every refusal is a 4xx in the one shape."""

from typing import Any

import pytest

from storage.base import StoreUnavailable
from tests.web.flask_side import Side, banner

SLOTS = "/admin/slots"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        (None, b""),
        (None, b"{"),
        (None, b"\xff\xfe"),
        ("id", b'{"id": NaN}'),
        ("exploration_share", b'{"id": "a", "exploration_share": -Infinity}'),
        ("name", b'{"name": ' + b"[" * 20 + b"]" * 20 + b"}"),
        (None, b"[" * 30_000),
        ("id", b'{"id": "\\ud800"}'),
        (None, b'{"width": ' + b"9" * 5000 + b"}"),
        ("id", b'{"id": "a", "id": "b"}'),
        ("id", b'{"id": "a\\u0000"}'),
        ("id", b'{"id": ["a"]}'),
        ("exploration_share", b'{"id": "a", "exploration_share": 1e999}'),
        ("body", b"[]"),
        ("body", b"null"),
        ("body", b'"{\\"id\\": \\"a\\"}"'),
        ("unknown", b'{"id": "a", "unknown": 1}'),
        ("a?b", b'{"id": "a", "a\\u0000b": 1}'),
    ],
)
def test_a_body_that_is_no_good_is_refused(side: Side, field: str | None, body: bytes) -> None:
    side.refused(400, field, "POST", SLOTS, data=body, content_type="application/json")


def test_a_body_of_another_type_is_refused(side: Side) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        side.refused(415, "Content-Type", "POST", SLOTS, data=b'{"id": "a"}', content_type=media_type)


def test_an_oversized_body_is_refused_with_its_limit(side: Side) -> None:
    body = b'{"id": "' + b"a" * (64 << 10) + b'"}'
    assert "65536" in side.refused(413, None, "POST", SLOTS, data=body, content_type="application/json")
    chunked: dict[str, Any] = {"environ_overrides": {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}}
    side.refused(413, None, "POST", SLOTS, data=body, content_type="application/json", **chunked)


def test_a_parameter_is_given_once_and_must_be_known(side: Side) -> None:
    side.refused(400, "slot", "GET", "/reports/lift?slot=home&slot=away")
    told = side.refused(400, "colour", "GET", "/reports/lift?slot=home&colour=red")
    assert told == "colour is not known here; there are: tenant, slot, from, to, banner"
    side.refused(400, "slot", "GET", "/reports/lift")


def test_an_unknown_field_is_told_with_those_that_there_are(side: Side) -> None:
    told = side.refused(400, "holdout", "PATCH", f"{SLOTS}/home", json={"holdout": 0.1})
    assert "holdout_share" in told
    side.refused(400, "?a", "PATCH", f"{SLOTS}/home", json={"\na": 0.1})


def test_paths_and_methods_that_are_not_there(side: Side) -> None:
    side.refused(404, None, "GET", "/nothing")
    side.refused(404, None, "GET", "/admin/slots/")
    assert "GET, HEAD, POST" in side.refused(405, None, "DELETE", SLOTS)
    assert side.call("DELETE", SLOTS).headers["Allow"] == "GET, HEAD, POST"
    side.refused(400, "slot", "GET", "/admin/slots/a%00b")
    side.refused(400, "slot", "GET", "/admin/slots/a%0A")


def test_a_store_that_is_away_is_said_so(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> int:
        raise StoreUnavailable("gone fishing")

    side.get(SLOTS)
    monkeypatch.setattr(side.store, "configuration_version", away)
    message = side.refused(503, None, "GET", SLOTS)
    assert "fishing" not in message
    assert side.call("GET", SLOTS).headers["Retry-After"] == "5"
    assert side.call("GET", "/livez", None).status_code == 200


def test_no_path_writes_a_line_of_the_log(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("web.auth.find_key", lambda *_: 1 / 0)
    side.refused(500, None, "GET", f"{SLOTS}/a%0AERROR%20forged%0D%1B")
    assert "\\nERROR forged\\r\\x1b" in caplog.text and "\nERROR forged" not in caplog.text


def test_a_full_disk_is_said_so(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(side.store, "put_banner", full)
    side.refused(503, None, "POST", f"{SLOTS}/home/banners", json=banner("new"))


def test_a_fault_of_ours_is_logged_and_not_shown(
    side: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("the secret is 42")

    monkeypatch.setattr(side.store, "put_slot", broken)
    assert "42" not in side.refused(500, None, "POST", SLOTS, json={"id": "new"})
    assert "the secret is 42" in caplog.text


def test_answers_are_not_kept_by_anybody(side: Side) -> None:
    answer = side.call("GET", SLOTS)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"

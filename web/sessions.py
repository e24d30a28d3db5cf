"""Signing in to the dashboard with a key: a signed cookie that names the key, and a proof that a form is our own.

The cookie holds no secret, and each request looks the key up again: a key that was revoked ends its sessions.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta

from flask import Flask, request, session

from bandit.model import ApiKey
from web.errors import ApiError

LIFETIME = timedelta(hours=12)
"""After signing in, however busy the session is."""
FORM_FIELD = "form_proof"


def keep_sessions(app: Flask, key: bytes, *, secure_cookies: bool) -> None:
    """Let the application keep sessions in cookies signed with this key."""
    app.secret_key = key
    app.config.update(
        SESSION_COOKIE_NAME="banner_session",
        SESSION_COOKIE_PATH="/dashboard",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure_cookies,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LIFETIME,
    )


def sign_in(key: ApiKey) -> None:
    """Begin a session with nothing of the one before it."""
    session.clear()
    session.permanent = True
    session["key"] = key.id
    session["secret"] = _fingerprint(key)


def sign_out() -> None:
    """End the session."""
    session.clear()


def signed_in(keys: Mapping[str, ApiKey]) -> ApiKey:
    """The key of the session, as it is now. Raises ApiError (401) without one."""
    key = keys.get(session.get("key", ""))
    if key is None or not hmac.compare_digest(_fingerprint(key), session.get("secret", "")):
        raise ApiError(401, "session", "please sign in", "key")
    return key


def form_proof() -> str:
    """What every form of the session sends along, so that no other site can send one in its place."""
    proof: str = session.setdefault("proof", secrets.token_urlsafe(24))
    return proof


def check_form() -> None:
    """Refuse a form that is not one of this session's. Raises ApiError (403)."""
    if request.method != "POST":
        return
    if not hmac.compare_digest(
        request.form.get(FORM_FIELD, "").encode(), session.get("proof", secrets.token_urlsafe()).encode()
    ):
        raise ApiError(
            403, "form", "this form is of an earlier session; go back, load the page again and send it again"
        )


def _fingerprint(key: ApiKey) -> str:
    """Another secret under the same id is another key."""
    return hashlib.sha256(key.secret_hash).hexdigest()[:32]

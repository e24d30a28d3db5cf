"""API keys: `bk_<id>_<secret>`, of which only the SHA-256 of the secret is kept."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime

from bandit.model import ApiKey, Role

PREFIX = "bk_"


def new_key(tenant: str | None, role: Role, now: datetime, name: str = "") -> tuple[ApiKey, str]:
    """A fresh key and its text, which is shown once and kept nowhere.

    Raises ValueError when an operator key is given a tenant or another role is given none.
    """
    if (tenant is None) != (role == Role.OPERATOR):
        raise ValueError("an operator key belongs to no tenant, every other key to one")
    key_id, secret = secrets.token_hex(6), secrets.token_hex(24)
    key = ApiKey(key_id, tenant, role, _hash(secret), name, now)
    return key, f"{PREFIX}{key_id}_{secret}"


def find_key(text: str, keys: Mapping[str, ApiKey]) -> ApiKey | None:
    """The key this text is, if it is one of ours; compared in constant time."""
    key_id, _, secret = text[len(PREFIX) :].partition("_")
    key = keys.get(key_id)
    if key is None or not text.startswith(PREFIX):
        return None
    return key if hmac.compare_digest(_hash(secret), key.secret_hash) else None


class KnownKeys:
    """find_key, which remembers the texts it found for as long as the keys are the same."""

    def __init__(self) -> None:
        self._keys: Mapping[str, ApiKey] = {}
        self._found: dict[str, ApiKey] = {}

    def find(self, text: str, keys: Mapping[str, ApiKey]) -> ApiKey | None:
        """Same as find_key(text, keys)."""
        if keys is not self._keys:
            self._keys, self._found = keys, {}
        key = self._found.get(text)
        if key is None:
            key = find_key(text, keys)
            if key is not None:
                self._found[text] = key
        return key


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()

"""The secrets of an installation: what signs tokens and what hides customers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Keyring:
    """Token keys by id (several may be live during a rotation), and the key of the customer hash."""

    token_keys: Mapping[int, bytes]
    signing_key: int
    """The id of the token key that signs new tokens."""
    customer_key: bytes


def customer_digest(customer_key: bytes, tenant: str, customer_id: str) -> bytes:
    """16 bytes: the first 8 stand for the customer in events, the last 8 place it in or out of the holdout."""
    state = _keyed(customer_key, tenant).copy()
    state.update(customer_id.encode("utf-8", "replace"))
    return state.digest()


def session_key(keyring: Keyring) -> bytes:
    """32 bytes that sign the dashboard's sessions: the same on every host of the installation, and of no use for
    anything else."""
    return hashlib.blake2b(digest_size=32, key=keyring.customer_key, person=b"banner session").digest()


@lru_cache(maxsize=1024)
def _keyed(customer_key: bytes, tenant: str) -> "hashlib.blake2b":
    return hashlib.blake2b(f"{tenant}\0".encode(), digest_size=16, key=customer_key, person=b"banner customer")

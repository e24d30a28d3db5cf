"""The signed proof of an impression: everything that says where its view and click will count.

`base64url(version, key id, flags, impression id, day, shard, propensity, customer, tenant, slot, city, banner,
referrer | keyed BLAKE2b of all that, 16 bytes)`. Nobody without a token key can make one, change one, or spell one in a
second way.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from functools import lru_cache
from typing import NamedTuple

from bandit.model import Policy
from serving.keyring import Keyring

VERSION = 1
MAX_LENGTH = 320
MAC_BYTES = 16
CUSTOMER_BYTES = 8
_HEAD = struct.Struct(">BBB16siHd8s")
_pack_head = _HEAD.pack
_POLICIES = tuple(str(policy) for policy in Policy)
_POLICY_NUMBERS = {policy: number for number, policy in enumerate(_POLICIES)}
_COUNTED, _HAS_CUSTOMER = 4, 8
_NO_CUSTOMER = bytes(CUSTOMER_BYTES)


class NotOurToken(ValueError):
    """Text that no live key of ours has signed."""


class Token(NamedTuple):
    """What a token says."""

    impression_id: bytes
    day: int
    shard: int
    policy: str
    counted: bool
    """False on a bot's or an unrecorded impression: nothing that follows from it counts."""
    propensity: float
    customer: bytes | None
    tenant: str
    slot: str
    city: str
    banner: str
    referrer: str | None

    @property
    def served_at(self) -> int:
        """Microseconds since 1970 UTC; the impression id starts with it."""
        return int.from_bytes(self.impression_id[:8], "big")


def impression_id(served_at: int, random_bits: int) -> bytes:
    """16 bytes that sort by time: the microseconds, then 64 random bits."""
    return served_at.to_bytes(8, "big") + random_bits.to_bytes(8, "big")


def place(*names: str) -> bytes:
    """The names of a token, each behind its length."""
    return b"".join([name(one) for one in names])


@lru_cache(maxsize=65_536)
def name(text: str) -> bytes:
    """One name behind its length."""
    encoded = text.encode("ascii")
    return bytes([len(encoded)]) + encoded


def sign(token: Token, keyring: Keyring) -> str:
    """The token as text, signed with the keyring's signing key."""
    (impression, day, shard, policy, counted, propensity, customer, *names, referrer) = token
    signer, number, where = Signer(keyring), policy_number(policy), place(*names)
    return signer.sign(impression, day, shard, number, counted, propensity, customer, where, referrer).decode("ascii")


def policy_number(policy: str) -> int:
    """As a token holds it."""
    return _POLICY_NUMBERS[policy]


class Signer:
    """The signing key of a keyring, ready to sign."""

    def __init__(self, keyring: Keyring) -> None:
        self._key_id = keyring.signing_key
        self._copy = _keyed(keyring.token_keys[keyring.signing_key]).copy

    def sign(
        self,
        impression: bytes,
        day: int,
        shard: int,
        policy: int,
        counted: bool,
        propensity: float,
        customer: bytes | None,
        where: bytes,
        referrer: str | None,
    ) -> bytes:
        """Like `sign`, in ASCII; `policy` is a policy_number, and `where` the `place` of tenant, slot, city, banner."""
        flags = policy | _COUNTED if counted else policy
        if customer is None:
            customer = _NO_CUSTOMER
        else:
            flags |= _HAS_CUSTOMER
        head = _pack_head(VERSION, self._key_id, flags, impression, day, shard, propensity, customer)
        body = head + where + (b"\0" if referrer is None else name(referrer))
        state = self._copy()
        state.update(body)
        return binascii.b2a_base64(body + state.digest(), newline=False).translate(_URL_SAFE, b"=")


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def mac(key: bytes, body: bytes) -> bytes:
    """The keyed BLAKE2b (RFC 7693) of the body, 16 bytes."""
    state = _keyed(key).copy()
    state.update(body)
    return state.digest()


@lru_cache(maxsize=256)
def _keyed(key: bytes) -> "hashlib.blake2b":
    return hashlib.blake2b(key=key, digest_size=MAC_BYTES, person=b"banner token")


def verify(text: str, keyring: Keyring) -> Token:
    """What the token says; NotOurToken unless a live key signed exactly this text."""
    raw = _decode(text)
    body, found = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    if len(body) < _HEAD.size or body[0] != VERSION:
        raise NotOurToken
    key = keyring.token_keys.get(body[1])
    if key is None or not hmac.compare_digest(mac(key, body), found):
        raise NotOurToken
    return _parse(body)


def _decode(text: str) -> bytes:
    if len(text) > MAX_LENGTH or not text.isascii():
        raise NotOurToken
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise NotOurToken from error
    # Unused bits at the end may be spelled in several ways; only the one we write is ours.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
        raise NotOurToken
    return raw


def _parse(body: bytes) -> Token:
    """The fields of a body whose signature holds."""
    _, _, flags, impression, day, shard, propensity, customer = _HEAD.unpack_from(body)
    tenant, slot, city, banner, referrer = _names(body)
    return Token(
        impression,
        day,
        shard,
        _POLICIES[flags & 3],
        bool(flags & _COUNTED),
        propensity,
        customer if flags & _HAS_CUSTOMER else None,
        tenant,
        slot,
        city,
        banner,
        referrer or None,
    )


def _names(body: bytes) -> list[str]:
    names, position = [], _HEAD.size
    while position < len(body):
        end = position + 1 + body[position]
        names.append(body[position + 1 : end].decode("ascii"))
        position = end
    return names

"""Tokens: what was signed comes back, and nothing else is a token."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.model import ID_PATTERN, Policy
from serving.keyring import Keyring
from serving.token import MAX_LENGTH, NotOurToken, Token, impression_id, sign, verify

KEYS = {1: bytes(range(32)), 2: bytes(range(32, 64))}
KEYRING = Keyring(KEYS, 2, b"c" * 32)
ids = st.from_regex(ID_PATTERN[:-1] + r"\Z")
tokens = st.builds(
    Token,
    impression_id=st.builds(impression_id, st.integers(0, 1 << 60), st.integers(0, (1 << 64) - 1)),
    day=st.integers(-(1 << 31), (1 << 31) - 1),
    shard=st.integers(0, 65_535),
    policy=st.sampled_from([str(policy) for policy in Policy]),
    counted=st.booleans(),
    propensity=st.floats(0, 1),
    customer=st.none() | st.binary(min_size=8, max_size=8),
    tenant=ids,
    slot=ids,
    city=ids,
    banner=ids,
    referrer=st.none() | ids,
)
LONGEST = Token(bytes(16), 1, 1, "learned", True, 0.5, bytes(8), *("x" * 32,) * 5)


@given(tokens)
def test_what_is_signed_comes_back(token: Token) -> None:
    text = sign(token, KEYRING)
    assert verify(text, KEYRING) == token
    assert len(text) <= MAX_LENGTH


def test_the_longest_names_fit() -> None:
    assert len(sign(LONGEST, KEYRING)) <= MAX_LENGTH


def test_the_time_of_serving_is_inside() -> None:
    token = LONGEST._replace(impression_id=impression_id(1_795_000_000_123_456, 7))
    assert verify(sign(token, KEYRING), KEYRING).served_at == 1_795_000_000_123_456


def test_ids_sort_by_time() -> None:
    assert impression_id(1, (1 << 64) - 1) < impression_id(2, 0) < impression_id(300, 0)


def test_a_token_of_an_older_live_key_is_still_ours() -> None:
    old = sign(LONGEST, Keyring(KEYS, 1, b""))
    assert verify(old, KEYRING) == LONGEST
    with pytest.raises(NotOurToken):
        verify(old, Keyring({2: KEYS[2]}, 2, b""))


def test_ten_thousand_mutated_tokens_are_all_refused() -> None:
    chance, text = random.Random(11), sign(LONGEST._replace(referrer=None), KEYRING)
    letters = string.printable + "é\ud800"
    for _ in range(10_000):
        mutated = _mutate(text, chance, letters)
        if mutated == text:
            continue
        with pytest.raises(NotOurToken):
            verify(mutated, KEYRING)


def _mutate(text: str, chance: random.Random, letters: str) -> str:
    place, letter = chance.randrange(len(text)), chance.choice(letters)
    return chance.choice(
        [
            text[:place] + letter + text[place + 1 :],
            text[:place] + letter + text[place:],
            text[:place] + text[place + 1 :],
            text[:place],
            text + letter,
            text[place:] + text[:place],
        ]
    )


@pytest.mark.parametrize("text", ["", "=", "A", "A" * 319, "A" * 400, "\0", "é"])
def test_text_that_never_was_a_token_is_refused(text: str) -> None:
    with pytest.raises(NotOurToken):
        verify(text, KEYRING)


def test_a_second_spelling_of_the_same_bytes_is_refused() -> None:
    text = sign(LONGEST, KEYRING)
    for other in (text + "=", text + "==", text.replace("-", "+").replace("_", "/") + "\n"):
        with pytest.raises(NotOurToken):
            verify(other, KEYRING)

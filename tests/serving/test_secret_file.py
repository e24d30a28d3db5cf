import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.secret_file import SecretFileError, keyring, load_or_create


def test_the_second_start_finds_the_secrets_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    assert load_or_create(path) == load_or_create(path)


def test_two_installations_have_different_secrets(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "a") != load_or_create(tmp_path / "b")


def test_only_the_owner_can_read_the_file_and_no_draft_is_left(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_many_starters_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(load_or_create, [path] * 64))
    assert all(one == found[0] for one in found)


def test_a_file_that_others_may_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(SecretFileError, match="chmod 600"):
        load_or_create(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({"token_keys": {"1": "zz"}, "signing_key": 1, "customer_key": "00"}),
        json.dumps({"token_keys": {"1": "00"}, "signing_key": 2, "customer_key": "00"}),
        json.dumps({"token_keys": {"1": "00"}, "signing_key": 1, "customer_key": ""}),
    ],
)
def test_a_damaged_file_is_refused_and_never_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets.json"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(SecretFileError, match="damaged"):
        load_or_create(path)
    assert path.read_text() == content


def test_the_last_of_several_token_keys_signs() -> None:
    ring = keyring(f"1:{'aa' * 16}, 7:{'bb' * 16}", "cc" * 16)
    assert ring is not None
    assert ring.token_keys == {1: b"\xaa" * 16, 7: b"\xbb" * 16}
    assert (ring.signing_key, ring.customer_key) == (7, b"\xcc" * 16)


def test_empty_settings_give_no_keyring() -> None:
    assert keyring("", "") is None

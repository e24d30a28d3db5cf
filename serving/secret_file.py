"""The secrets of an installation that was given none: made once, kept in one file that only its owner can read."""

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from serving.keyring import Keyring

KEY_BYTES = 32


class SecretFileError(Exception):
    """The file cannot be used; the message says why and what would be right."""


def keyring(token_keys: str, customer_key: str) -> Keyring | None:
    """The keys given as settings: `1:hex,2:hex`, of which the last signs, and hex; None where they are empty."""
    if not token_keys or not customer_key:
        return None
    pairs = [pair.strip().split(":") for pair in token_keys.split(",")]
    keys = {int(key_id): bytes.fromhex(key) for key_id, key in pairs}
    return Keyring(keys, int(pairs[-1][0]), bytes.fromhex(customer_key))


def load_or_create(path: Path) -> Keyring:
    """The keys in this file, which is made if there is none; whoever else starts at this moment gets the same.

    Raises SecretFileError when others may read the file or it holds something else.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        _create(path)
        return _load(path)


def _load(path: Path) -> Keyring:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise SecretFileError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
        text = file.read()
    try:
        return _parse(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SecretFileError(f"{path} is damaged; restore it from a backup, or tokens and customers change") from error


def _parse(content: dict[str, Any]) -> Keyring:
    keys = {int(key_id): bytes.fromhex(key) for key_id, key in content["token_keys"].items()}
    signing_key = int(content["signing_key"])
    customer_key = bytes.fromhex(content["customer_key"])
    if signing_key not in keys or not customer_key:
        raise ValueError("the signing key is missing")
    return Keyring(keys, signing_key, customer_key)


def _create(path: Path) -> None:
    """Put a complete file in place in one step; one that is there by now stays."""
    content = {
        "token_keys": {"1": secrets.token_hex(KEY_BYTES)},
        "signing_key": 1,
        "customer_key": secrets.token_hex(KEY_BYTES),
    }
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()

"""The keys of the demo tenant, kept as text in a file that only its owner can read, so that they can be shown again."""

import json
import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from bandit.model import Role
from commands.demo_catalogue import TENANT
from serving.keys import find_key, new_key
from storage.base import Store

Keys = Mapping[Role, str]
"""The text of a key for every role."""


class NoDemoKeys(Exception):
    """The file with the keys is missing or damaged; the message says what would help."""


def ensure_keys(store: Store, path: Path, now: datetime) -> Keys:
    """The keys of the file, with new ones in place of those that are not in the store."""
    known = store.configuration().keys
    kept = {role: text for role, text in _kept(path).items() if find_key(text, known) is not None}
    missing = [role for role in Role if role not in kept]
    made = {role: new_key(None if role is Role.OPERATOR else TENANT.id, role, now, _name(role)) for role in missing}
    keys = {role: kept[role] if role in kept else made[role][1] for role in Role}
    # First the file: a key in the store whose text nobody has would stay for ever.
    if made:
        _write(path, keys)
    for role in missing:
        for lost in [key for key in known.values() if key.name == _name(role)]:
            store.delete_key(lost.id)
        store.put_key(made[role][0])
    return keys


def read_keys(path: Path) -> Keys:
    """What `ensure_keys` left in the file. Raises NoDemoKeys."""
    keys = _kept(path)
    if set(keys) != set(Role):
        raise NoDemoKeys(f"{path} does not hold the keys of the demo tenant; `make run` makes them")
    return keys


def _name(role: Role) -> str:
    return f"demo {role}"


def _kept(path: Path) -> dict[Role, str]:
    try:
        content = json.loads(path.read_text("utf-8"))
        return {Role(role): str(text) for role, text in content["keys"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(path: Path, keys: Keys) -> None:
    """In one step, and never readable by others."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"tenant": TENANT.id, "keys": keys}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)

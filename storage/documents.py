"""Configuration values as JSON documents: fields a document lacks take their defaults, unknown ones are ignored."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from sys import intern
from typing import Any, TypeVar

from bandit.model import ApiKey, Banner, Role, Slot, Tenant, Trial

Value = TypeVar("Value", Tenant, ApiKey, Slot, Banner)


def _aliases(names: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {city: tuple(aliases) for city, aliases in names.items()}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


# How the fields that JSON cannot hold as they are come back.
_READ: dict[type, dict[str, Callable[[Any], Any]]] = {
    Tenant: {"platforms": tuple, "cities": _aliases, "segments": tuple, "origins": tuple},
    ApiKey: {"role": Role, "secret_hash": bytes.fromhex, "created_at": _time},
    Slot: {"platforms": tuple, "trial": Trial},
    Banner: {
        # Slots share the ids of their banners; a page compares them with each other.
        "id": intern,
        "starts_at": _time,
        "ends_at": _time,
        "cities": tuple,
        "excluded_cities": tuple,
        "platforms": tuple,
        "segments": tuple,
    },
}


def dump(value: Tenant | ApiKey | Slot | Banner) -> str:
    """The JSON document of a value, its key fields included."""
    return json.dumps({field.name: getattr(value, field.name) for field in fields(value)}, default=_plain)


def load(kind: type[Value], document: str) -> Value:
    """The value `dump` was given."""
    stored, read = json.loads(document), _READ[kind]
    known = {field.name: stored[field.name] for field in fields(kind) if field.name in stored}
    return kind(**{name: read[name](value) if name in read else value for name, value in known.items()})


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")

"""How one row of the table of settings is written: a default, a line of help, and what is right."""

import re
from collections.abc import Callable
from dataclasses import field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any], object]
HOST_NAME = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
"""No part of a name is empty or longer, or looking it up is an error of another kind."""


def setting(default: Any, help: str, right: str, check: Check | None = None) -> Any:
    """One row of the table. `right` says in words what the type and `check` accept."""
    return field(default=default, metadata={"help": help, "right": right, "check": check, "is_secret": False})


def number(default: float, help: str, lowest: float, highest: float) -> Any:
    kind = "a whole number" if isinstance(default, int) else "a number"
    return setting(default, help, f"{kind} from {lowest} to {highest}", lambda value: lowest <= value <= highest)


def choice(default: str, help: str, *choices: str) -> Any:
    return setting(default, help, " or ".join(choices), lambda value: value in choices)


def pattern(help: str, right: str, pattern: str) -> Any:
    """A text that may be empty, and is by default."""
    return setting("", help, right, lambda value: not value or re.fullmatch(pattern, value) is not None)


def secret(help: str, right: str = "text without line breaks") -> Any:
    """A text that nothing prints."""
    return field(default="", metadata={"help": help, "right": right, "check": None, "is_secret": True})


def is_host(value: str) -> bool:
    """A name or an address, without a port."""
    try:
        return bool(ip_address(value))
    except ValueError:
        return re.fullmatch(HOST_NAME, value) is not None


def is_http_url(value: str) -> bool:
    """Empty, or an address of http or https that a path can be added to. A port that is none raises ValueError."""
    parts = urlsplit(value)
    can_grow = parts.port != 0 and not re.search(r"[\s?#]", value)
    return not value or bool(parts.scheme in ("http", "https") and parts.hostname and can_grow)

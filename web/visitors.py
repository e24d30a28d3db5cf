"""Who the visitor behind a request is: the browser itself, or the person a storefront's back end speaks for."""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from bandit.model import ApiKey, Role
from serving.verdict import Visitor
from web.errors import ApiError

Environ = Mapping[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_SERVER = Role.SERVER
AGENT_CHARACTERS = 512
"""So much of a User-Agent is looked at and remembered; a server takes headers of several hundred kilobytes."""
ADDRESS_CHARACTERS = 45
UNNAMED = Visitor()
"""Somebody a back end told us nothing about."""


class Visitors:
    """Tells visitors apart behind the proxies this installation trusts."""

    def __init__(self, trusted_proxies: Sequence[Network]) -> None:
        self._trusted = tuple(trusted_proxies)
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    def of(self, environ: Environ, key: ApiKey | None, fields: Mapping[str, str]) -> Visitor:
        """The visitor. Raises ApiError when someone without a server key speaks for another."""
        if key is not None and key.role is _SERVER:
            agent, address = fields.get("user_agent"), fields.get("client_ip")
            return Visitor(agent or None, address or None, in_person=True) if agent or address else UNNAMED
        for field in ("user_agent", "client_ip"):
            if field in fields:
                raise ApiError(400, "bad_value", f"{field} may be given only with a server key", field)
        named = environ.get("HTTP_USER_AGENT", "")[:AGENT_CHARACTERS]
        return Visitor(named, self._address(environ), is_prefetch(environ), True)

    def _address(self, environ: Environ) -> str:
        address: str = environ.get("REMOTE_ADDR", "")[:ADDRESS_CHARACTERS]
        if not self._trusted or not self._is_trusted(address):
            return address
        # Each trusted proxy appended the address it saw; the last one that is not a proxy of ours is the visitor.
        hops = [hop.strip()[:ADDRESS_CHARACTERS] for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        return next((hop for hop in reversed(hops) if hop and not self._is_trusted(hop)), address)

    def _look_up(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def is_prefetch(environ: Environ) -> bool:
    """Whether the browser says it only fetches ahead, so nobody has seen or clicked anything yet."""
    purposes = (environ.get(name, "") for name in ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_MOZ"))
    return any("prefetch" in purpose or "prerender" in purpose or "preview" in purpose for purpose in purposes)

"""Calls of GET /banner that were understood before: storefronts ask the same few thousand things for all visitors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bandit.model import ApiKey, Configuration
from serving.decide import Question
from serving.verdict import Visitor

MAX_CALLS = 20_000


class KnownCall(NamedTuple):
    """What a call means, whoever the visitor is."""

    key: ApiKey
    question: Question
    visitor: Visitor | None
    """None where it is for the request to say."""


class KnownCalls:
    """By Authorization header and the query without its customer, for as long as the configuration is the same."""

    def __init__(self) -> None:
        self._configuration: Configuration | None = None
        self._calls: dict[str | None, dict[str, KnownCall]] = {}
        self._count = 0

    def find(self, environ: Mapping[str, Any], query: str, configuration: Configuration | None) -> KnownCall | None:
        """The same call, if it was kept under this configuration."""
        if configuration is not self._configuration:
            return None
        calls = self._calls.get(environ.get("HTTP_AUTHORIZATION"))
        return None if calls is None else calls.get(query)

    def keep(
        self, environ: Mapping[str, Any], query: str, configuration: Configuration | None, call: KnownCall
    ) -> None:
        """`configuration` was current before the call was looked at, so a newer one makes it be looked at again."""
        if configuration is not self._configuration or self._count >= MAX_CALLS:
            self._configuration, self._calls, self._count = configuration, {}, 0
        self._calls.setdefault(environ.get("HTTP_AUTHORIZATION"), {})[query] = call
        self._count += 1

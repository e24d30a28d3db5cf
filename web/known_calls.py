"""Calls that were understood before: storefronts ask the same few thousand things for all visitors."""

from collections.abc import Hashable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from bandit.model import ApiKey, Configuration
from serving.decide import Question
from serving.verdict import Visitor
from web.errors import ApiError

MAX_CALLS = 20_000
Call = TypeVar("Call")


class KnownCall(NamedTuple):
    """What a GET /banner means, whoever the visitor is."""

    key: ApiKey
    question: Question
    visitor: Visitor | None
    """None where it is for the request to say."""


class KnownPage(NamedTuple):
    """What a POST /page means, whoever the visitor is."""

    key: ApiKey
    understood: tuple[Question | ApiError, ...]
    """By slot, in order."""
    visitor: Visitor | None


class KnownCalls(Generic[Call]):
    """By Authorization header and what was asked, without its customer, while the configuration is the same."""

    def __init__(self) -> None:
        self._configuration: Configuration | None = None
        self._calls: dict[str | None, dict[Hashable, Call]] = {}
        self._count = 0

    def find(self, environ: Mapping[str, Any], asked: Hashable, configuration: Configuration | None) -> Call | None:
        """The same call, if it was kept under this configuration."""
        if configuration is not self._configuration:
            return None
        calls = self._calls.get(environ.get("HTTP_AUTHORIZATION"))
        return None if calls is None else calls.get(asked)

    def keep(
        self, environ: Mapping[str, Any], asked: Hashable, configuration: Configuration | None, call: Call
    ) -> None:
        """`configuration` was current before the call was looked at, so a newer one makes it be looked at again."""
        if configuration is not self._configuration or self._count >= MAX_CALLS:
            self._configuration, self._calls, self._count = configuration, {}, 0
        self._calls.setdefault(environ.get("HTTP_AUTHORIZATION"), {})[asked] = call
        self._count += 1

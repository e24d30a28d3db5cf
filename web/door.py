"""The hot calls, complete: keys, origins, limits, errors and metrics included, and no framework.

`answer(Request) -> Response` is the only implementation. `wsgi` puts it straight under a WSGI server; the Flask
application calls it for the same paths when it is entered in any other way.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from bandit.model import ApiKey, Kind, Role
from serving.decide import Ask, Decider, Decision, Question, UnknownName
from serving.explain import Explainer
from serving.feedback import Feedback
from serving.snapshot import Snapshot
from serving.token import NotOurToken, Token
from storage.journal import JournalRefused
from web import json_guard
from web.callers import MAY_ASK, Callers, not_ready, unauthorised
from web.errors import ApiError
from web.hot_answer import render, render_page
from web.hot_messages import JSON, NO_STORE, Headers, Request, Response, json_response, read_body, refusal
from web.known_calls import KnownCall, KnownCalls
from web.metrics import Metrics
from web.parameters import (
    BANNER,
    EVENT,
    FEEDBACK,
    IN_ADDRESS,
    OF_VISITORS,
    event_list,
    parse_body,
    parse_page,
    parse_query,
    split_customer,
)
from web.visitors import Visitors, is_prefetch

log = logging.getLogger(__name__)

METHODS = {
    "/banner": ("GET", "OPTIONS"),
    "/click": ("POST", "OPTIONS"),
    "/view": ("POST", "OPTIONS"),
    "/page": ("POST", "OPTIONS"),
    "/events": ("POST",),
    "/go": ("GET", "HEAD"),
}
RETRY_AFTER_SECONDS = 5
_WHOLE_PATHS = frozenset(METHODS) - {"/go"}
_MAY_EXPLAIN = (Role.READ, Role.ADMIN)
_NO_FIELDS: dict[str, str] = {}
_KINDS = {"click": Kind.CLICKED, "view": Kind.VIEWED, "/click": Kind.CLICKED, "/view": Kind.VIEWED}
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Services(NamedTuple):
    """What the door opens to."""

    snapshot: Snapshot
    decider: Decider
    feedback: Feedback
    explainer: Explainer
    visitors: Visitors
    metrics: Metrics


class Door:
    """The hot calls of one process."""

    def __init__(self, services: Services, *, public_url: str, city_header: str) -> None:
        self._snapshot, self._decider, self._feedback, self._explainer, self._visitors, self._metrics = services
        self._callers = Callers(self._snapshot, public_url=public_url, city_header=city_header)
        self._known_calls = KnownCalls()
        calls = {
            "/banner": self._banner,
            "/click": self._one_event,
            "/view": self._one_event,
            "/page": self._page,
            "/events": self._events,
            "/go": self._go,
        }
        self._calls: dict[tuple[str, str], Callable[[Request], Response]] = {
            (call, method): _options if method == "OPTIONS" else calls[call]
            for call, methods in METHODS.items()
            for method in methods
        }

    @staticmethod
    def handles(path: str) -> bool:
        """Whether a path is one of the hot calls."""
        return path in _WHOLE_PATHS or path.startswith("/go/")

    def wsgi(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """A WSGI application for the paths it handles."""
        response = self.answer(Request.from_environ(environ))
        start_response(_STATUS_LINES[response.status], response.headers)
        return [response.body]

    def answer(self, request: Request) -> Response:
        """Answer a hot call; every error comes back as a response."""
        started = time.perf_counter()
        call = _call(request.path)
        try:
            response = self._calls.get((call, request.method), _refuse_method)(request)
        except ApiError as error:
            response = refusal(error)
        except Exception:
            log.exception("%s %s failed", request.method, call)
            response = refusal(ApiError(500, "internal", "something went wrong here; the log says what"))
        self._callers.allow_origin(request, response)
        if self._metrics.answered(call, response.status):
            self._metrics.took(call, time.perf_counter() - started)
        return response

    # --- GET /banner ---

    def _banner(self, request: Request) -> Response:
        apart = split_customer(request.query)
        known = None
        if apart is not None:
            recurring, customer = apart
            known = self._known_calls.find(request.environ, recurring, self._snapshot.configuration)
        if known is None:
            return self._new_banner(request, apart)
        key, question, visitor = known
        self._callers.check_origin(request, key)
        if visitor is None:
            visitor = self._visitors.of(request.environ, key, _NO_FIELDS)
        return self._decided(request, self._decider.decide(question, customer or None, visitor))

    def _new_banner(self, request: Request, apart: tuple[str, str] | None) -> Response:
        configuration = self._snapshot.configuration
        fields = parse_query(request.query, BANNER)
        explain = fields.get("explain") == "1"
        allowed = _MAY_EXPLAIN if explain else MAY_ASK
        key, tenant = self._callers.asking(request, fields.get("key"), allowed)
        ask = self._ask(request, tenant, fields["slot"], fields)
        try:
            if explain:
                return json_response(200, self._explainer.explain(ask))
            question = self._decider.understand(ask)
        except UnknownName as error:
            raise ApiError(404, "unknown", str(error), error.field) from None
        visitor = self._visitors.of(request.environ, key, fields)
        if apart is not None and not self._callers.city_header and fields.keys().isdisjoint(OF_VISITORS):
            call = KnownCall(key, question, None if visitor.in_person else visitor)
            self._known_calls.keep(request.environ, apart[0], configuration, call)
        return self._decided(request, self._decider.decide(question, fields.get("customer_id"), visitor))

    def _ask(self, request: Request, tenant: str, slot: str, fields: Mapping[str, str]) -> Ask:
        city = fields.get("city") or self._callers.city(request)
        kind = (fields.get(name) for name in ("platform", "segment", "referrer_id", "banner"))
        return Ask(tenant, slot, city, *kind)

    def _decided(self, request: Request, decision: Decision | None) -> Response:
        if decision is None:
            return Response(204, self._hot_headers(), b"")
        self._note(decision)
        return Response(200, self._hot_headers(), render(decision, self._callers.base(request)))

    def _note(self, decision: Decision) -> None:
        if not decision.recorded:
            self._metrics.happened("impression_not_recorded")

    def _hot_headers(self) -> Headers:
        headers = [JSON, NO_STORE]
        if self._snapshot.store_is_away:
            headers.append(("X-Snapshot-Age", f"{self._snapshot.age_seconds():.0f}"))
        return headers

    # --- POST /page ---

    def _page(self, request: Request) -> Response:
        key, tenant = self._callers.asking(request, parse_query(request.query, IN_ADDRESS).get("key"))
        slots, fields = parse_page(json_guard.parse(read_body(request)))
        understood = [self._understood(self._ask(request, tenant, slot, fields)) for slot in slots]
        visitor = self._visitors.of(request.environ, key, fields)
        questions = [one for one in understood if isinstance(one, Question)]
        decisions = iter(self._decider.decide_page(questions, fields.get("customer_id"), visitor))
        results = [next(decisions) if isinstance(one, Question) else one for one in understood]
        for result in results:
            if isinstance(result, Decision):
                self._note(result)
        return Response(200, self._hot_headers(), render_page(results, self._callers.base(request)))

    def _understood(self, ask: Ask) -> Question | ApiError:
        try:
            return self._decider.understand(ask)
        except UnknownName as error:
            return ApiError(404, "unknown", str(error), error.field)

    # --- POST /click, /view, /events and GET /go ---

    def _one_event(self, request: Request) -> Response:
        fields = parse_body(json_guard.parse(read_body(request)), FEEDBACK)
        self._record(_KINDS[request.path], fields, request, self._callers.key(request))
        return json_response(202, {"recorded": True})

    def _record(self, kind: Kind, fields: Mapping[str, str], request: Request, key: ApiKey | None) -> None:
        token = self._token(fields["token"])
        if key is not None and key.tenant != token.tenant:
            raise ApiError(403, "tenant", "the token belongs to another tenant than the key", "token")
        visitor = self._visitors.of(request.environ, key, fields)
        try:
            self._feedback.record(kind, token, visitor)
        except JournalRefused as error:
            self._metrics.happened("feedback_refused")
            wait = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
            raise ApiError(503, "journal", f"cannot record now, please send it again: {error}", headers=wait) from None

    def _token(self, text: str) -> Token:
        try:
            return self._feedback.read(text)
        except NotOurToken:
            raise ApiError(400, "bad_token", "this is not a token that GET /banner gave out", "token") from None

    def _events(self, request: Request) -> Response:
        key = self._callers.key(request)
        if key is None:
            raise unauthorised("a server key is required: Authorization: Bearer bk_...")
        if key.role is not Role.SERVER:
            raise ApiError(403, "role", "this takes a key of role server", "key")
        items = event_list(json_guard.parse(read_body(request)))
        results = [self._event_result(item, request, key) for item in items]
        if results and all(result["status"] == 503 for result in results):
            wait = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
            raise ApiError(503, "journal", "cannot record now, please send all of them again", headers=wait)
        return json_response(200, {"results": results})

    def _event_result(self, item: object, request: Request, key: ApiKey) -> dict[str, Any]:
        try:
            fields = parse_body(item, EVENT)
            self._record(_KINDS[fields["kind"]], fields, request, key)
        except ApiError as error:
            return {"status": error.status, **error.body()}
        return {"status": 202, "recorded": True}

    def _go(self, request: Request) -> Response:
        token = self._token(request.path[len("/go/") :])
        if request.method == "GET" and not is_prefetch(request.environ):
            try:
                self._feedback.record(Kind.CLICKED, token, self._visitors.of(request.environ, None, {}))
            except JournalRefused:
                # The visitor still gets where the banner promised to lead.
                self._metrics.happened("feedback_refused")
        banner = self._feedback.landing(token)
        if banner is None:
            if self._snapshot.configuration is None:
                raise not_ready()
            raise ApiError(410, "gone", "this banner is no longer there", "token")
        return Response(302, [NO_STORE, ("Location", banner.landing_url)], b"")


def _call(path: str) -> str:
    """The call behind a path that `Door.handles`."""
    return path if path in _WHOLE_PATHS else "/go"


def _refuse_method(request: Request) -> Response:
    allowed = ", ".join(METHODS[_call(request.path)])
    raise ApiError(405, "method", f"this takes {allowed}", headers=(("Allow", allowed),))


def _options(request: Request) -> Response:
    return Response(204, [NO_STORE, ("Allow", ", ".join(METHODS[_call(request.path)]))], b"")

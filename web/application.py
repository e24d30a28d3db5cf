"""The Flask application: the hot calls go to the door before Flask does anything, everything else to its views."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import flask
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from werkzeug.routing import PathConverter

from bandit.model import Configuration
from serving.keyring import session_key
from serving.page_memory import PageMemory
from storage.base import Store
from web.admin_banners import banners
from web.admin_keys import keys
from web.admin_seeds import seeds
from web.admin_slots import slots
from web.admin_tenants import tenants
from web.auth import admit, check_declarations, requires
from web.context import EXTENSION, Context, CurrentConfiguration, Insight
from web.dashboard_pages import dashboard
from web.demo import EXTENSION as DEMO
from web.demo import DemoShop, demo_pages
from web.docs import docs
from web.door import METHODS, Door
from web.evidence_reports import evidence
from web.guarded_request import GuardedRequest
from web.health import health
from web.hot_description import openapi_paths
from web.hot_messages import Request
from web.jobs import Jobs
from web.media import media
from web.openapi import SECURITY_SCHEMES, describe
from web.refusals import answer_errors, refuse_invalid
from web.reports import reports
from web.schemas import ErrorAnswer
from web.sessions import keep_sessions
from web.tag import tag

VERBS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
HOT_CALL = "hot_call"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_ABOUT = "Decides which banner a visitor sees, learns from clicks, and reports what wins where."


class OrderedJson(DefaultJSONProvider):
    """Names stay in the order they were written in."""

    sort_keys = False


class BannerApplication(OpenAPI):
    """One worker's application."""

    json_provider_class = OrderedJson

    request_class = GuardedRequest
    door_first = True
    """Whether the hot calls skip Flask; the answers are the same either way."""

    def __init__(self, door: Door) -> None:
        super().__init__(
            __name__,
            info=Info(title="Banner optimiser", version="1", description=_ABOUT),
            security_schemes=SECURITY_SCHEMES,
            doc_ui=False,
            validation_error_status=400,
            validation_error_model=ErrorAnswer,
            validation_error_callback=refuse_invalid,
            static_folder=None,
        )
        self.door = door
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Hot calls before Flask knows of a request, the rest the usual way."""
        if self.door_first and self.door.handles(environ["PATH_INFO"]):
            return self.door.wsgi(environ, start_response)
        return super().__call__(environ, start_response)

    @cached_property
    def description(self) -> dict[str, Any]:
        """The OpenAPI document of all calls."""
        return describe(self, openapi_paths())


def build(
    *,
    store: Store,
    configuration: Callable[[], Configuration],
    door: Door,
    ready: Callable[[], tuple[bool, str, dict[str, Any]]],
    metrics: Callable[[], bytes],
    media_directory: Path,
    jobs_directory: Path,
    now: Callable[[], datetime],
    insight: Insight,
    memory: PageMemory,
    secure_cookies: bool = False,
    demo: DemoShop | None = None,
) -> BannerApplication:
    """The application of one worker.

    `configuration` is the snapshot's: it needs no store, and raises StoreUnavailable while there is none. `ready` says
    whether this process may be sent requests, one word for its state, and details. `metrics` is Prometheus text.
    `secure_cookies`: browsers reach the service by https only. `demo`: what the page /demo needs, which shows only
    where there is the demo tenant.
    """
    app = BannerApplication(door)
    current = CurrentConfiguration(store)
    app.extensions[EXTENSION] = Context(
        store=store,
        configuration=configuration,
        current=current,
        ready=ready,
        metrics=metrics,
        media_directory=media_directory,
        jobs=Jobs(jobs_directory),
        now=now,
        insight=insight,
        daily_counts=memory.daily_counts,
        standings=memory.standings,
    )
    for calls in (tenants, keys, slots, banners, seeds, reports, evidence, media, tag, health, docs):
        app.register_api(calls)
    app.register_blueprint(dashboard)
    app.extensions[DEMO] = demo
    app.register_blueprint(demo_pages)
    keep_sessions(app, session_key(insight.keyring), secure_cookies=secure_cookies)
    _add_hot_calls(app)
    answer_errors(app)
    app.before_request(admit)
    app.after_request(_finish)
    check_declarations(app)
    return app


class _Rest(PathConverter):
    """Whatever follows, also nothing: what a token looks like is the door's business."""

    regex = ".*?"
    part_isolating = False


def _add_hot_calls(app: BannerApplication) -> None:
    """The same door behind Flask's routing, for an entry that does not call the application itself."""

    @requires("public")  # the door looks at the key itself
    def hot_call(**_: str) -> flask.Response:
        answer = app.door.answer(Request.from_environ(flask.request.environ))
        return flask.Response(answer.body, answer.status, answer.headers)

    app.url_map.merge_slashes = False
    app.url_map.converters["rest"] = _Rest
    for path in METHODS:
        rule = "/go/<rest:token>" if path == "/go" else path
        app.add_url_rule(rule, HOT_CALL, hot_call, methods=VERBS)


def _finish(response: flask.Response) -> flask.Response:
    if flask.request.endpoint != HOT_CALL:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    return response

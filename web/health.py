"""What machines ask: is the process alive, may it be sent requests, what does it count."""

from typing import Any

from flask import Response

from web.admin import Json
from web.auth import requires
from web.context import context
from web.fields import Answer
from web.openapi import blueprint, content

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

health = blueprint("health", "", "For load balancers and monitoring.", open_to_all=True)


class Alive(Answer):
    """The process answers."""

    alive: bool


class Readiness(Answer):
    """Whether the process may be sent requests, and what is wrong if anything is."""

    ready: bool
    state: str
    details: dict[str, Any]


@health.get("/livez", responses={200: Alive})
@requires("public")
def show_alive() -> Json:
    """Whether the process answers; depends on nothing outside it."""
    return {"alive": True}


@health.get("/readyz", responses={200: Readiness, 503: Readiness})
@requires("public")
def show_ready() -> tuple[Json, int]:
    """Whether the process may be sent requests: 503 before the first load, at shutdown, or when it cannot record."""
    ready, state, details = context().ready()
    return {"ready": ready, "state": state, "details": details}, 200 if ready else 503


@health.get("/metrics", responses={200: content("Prometheus text format.", "text/plain")})
@requires("public")
def show_metrics() -> Response:
    """Counters and gauges for Prometheus."""
    return Response(context().metrics(), content_type=METRICS_TYPE)

"""Reports on what the evidence is worth: is the learned choice better, and how sure is that."""

from bandit.lift import lift
from bandit.model import Role
from web.admin import Json, find_banner
from web.auth import requires
from web.context import context
from web.evidence_schemas import LiftQuery, LiftReport
from web.openapi import blueprint
from web.reports import scope_of

evidence = blueprint(
    "evidence", "/reports", "What the evidence is worth: is the learned choice better, how sure is that?"
)


@evidence.get("/lift", responses={200: LiftReport})
@requires(Role.READ)
def report_lift(query: LiftQuery) -> Json:
    """The learned choice against the holdout, or against one banner of it, in clicks and in value."""
    scope = scope_of(query)
    if query.banner is not None:
        find_banner(scope.tenant.id, scope.slot.id, query.banner)
    rows = context().store.counts(*scope.place())
    found = lift(rows, trial=scope.slot.trial, weights=scope.weights(), banner=query.banner)
    return {
        **scope.heading(),
        **found.clicks._asdict(),
        "over": query.banner,
        "learned": found.learned._asdict(),
        "holdout": found.baseline._asdict(),
        "value": found.value._asdict(),
        "confidence": found.confidence,
    }

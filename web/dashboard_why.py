"""Why was this banner shown? What its token says, beside how the same visit would be decided now."""

from flask import Response, request

from bandit.model import Policy, Role, Tenant
from bandit.zone import moment
from serving.token import NotOurToken, Token, verify
from web import dashboard_formats as show
from web.auth import requires
from web.context import context
from web.dashboard import dashboard, page, tenant_of_page
from web.dashboard_city import competitors
from web.dashboard_evidence import city_name, explained
from web.errors import ApiError

REASONS = {
    Policy.LEARNED: "It was drawn from what the slot has learned, with the probability shown.",
    Policy.HOLDOUT: "The visitor is in the holdout: each banner had the same probability.",
    Policy.FIXED: "It was not drawn: it was pinned, the default, or shown by the caller in shadow.",
}


@dashboard.get("/why")
@requires(Role.READ, by_session=True)
def why() -> str | Response:
    """Ask for a token, then explain it."""
    tenant = tenant_of_page()
    text = request.args.get("token", "").strip()
    if not text:
        return page("why.html", token=None, problem="", text="")
    try:
        token = _read(tenant, text)
    except ApiError as error:
        return page("why.html", token=None, problem=error.message, text=text)
    slot = context().current().slots.get((tenant.id, token.slot))
    explanation = None
    tables = []
    if slot is not None:
        explanation = explained(tenant, slot, token.city)
        tables = [competitors(tenant, slot, explanation)]
    return page(
        "why.html",
        tables=tables,
        token=token,
        text=text,
        problem="",
        explanation=explanation,
        served_at=show.moment(moment(token.served_at, tenant.time_zone), tenant.time_zone),
        city_name=city_name,
        reason=REASONS[Policy(token.policy)],
        now=show.moment(context().now(), tenant.time_zone),
    )


def _read(tenant: Tenant, text: str) -> Token:
    """Raises ApiError for what is no token of this tenant."""
    try:
        token = verify(text, context().insight.keyring)
    except NotOurToken:
        message = "This is no token of ours, or not the whole of it: paste what GET /banner answered as `token`."
        raise ApiError(400, "bad_value", message, "token") from None
    if token.tenant != tenant.id:
        raise ApiError(403, "tenant", "This token belongs to another tenant.", "token")
    return token

"""Reports on what the evidence is worth: is the learned choice better, and how sure is that."""

from bandit.lift import lift
from bandit.model import Role
from bandit.reports import CONFIDENCE
from bandit.sample_ratio import check
from bandit.shadow import Predicted, Prediction, predict
from bandit.standing import standing
from bandit.zone import date_to_day
from web.admin import Json, banners_of, find_banner, find_slot
from web.auth import requires, tenant_of_call
from web.context import context
from web.evidence_schemas import LiftQuery, LiftReport, SamplingReport, ShadowReport, SlotQuery, StandingReport
from web.openapi import blueprint
from web.report_schemas import Period
from web.reports import scope_of, today

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


@evidence.get("/standing", responses={200: StandingReport})
@requires(Role.READ)
def report_standing(query: SlotQuery) -> Json:
    """Whether one of the slot's banners has won by now, leads, is as good as another, or nothing can be said yet."""
    tenant = tenant_of_call(query.tenant)
    slot, day = find_slot(tenant.id, query.slot), today(tenant)
    last = date_to_day(day)
    found = standing(
        context().store.counts(tenant.id, slot.id, last - slot.lookback_days, last),
        trial=slot.trial,
        today=last,
        half_life_days=slot.half_life_days,
        lookback_days=slot.lookback_days,
        weights={each.id: each.weight for each in banners_of(tenant.id, slot.id).values() if each.enabled},
    )
    banners = [each._asdict() for each in found.banners]
    return {"slot": slot.id, "day": day.isoformat(), **found._asdict(), "banners": banners, "ahead": list(found.ahead)}


@evidence.get("/sampling", responses={200: SamplingReport})
@requires(Role.READ)
def report_sampling(query: Period) -> Json:
    """Whether banners were drawn as often as their logged propensities say (the sample-ratio check)."""
    scope = scope_of(query)
    banners = banners_of(scope.tenant.id, scope.slot.id).values()
    ratios = check(context().store.sampled(*scope.place()), scope.slot, banners)
    rows = [ratio._asdict() for ratio in ratios]
    return {**scope.heading(), "alarm": any(ratio.alarm for ratio in ratios), "rows": rows}


@evidence.get("/shadow", responses={200: ShadowReport})
@requires(Role.READ)
def report_shadow(query: Period) -> Json:
    """What the learned choice would have earned while the slot was in shadow: the lift, with its interval."""
    scope = scope_of(query)
    would_be = context().store.would_be(*scope.place())
    rows = context().store.counts(*scope.place())
    found = predict(rows, would_be, trial=scope.slot.trial, weights=scope.weights())
    predictions = {"clicks": _plain(found.clicks), "value": _plain(found.value)}
    return {**scope.heading(), **found._asdict(), **predictions, "confidence": CONFIDENCE}


def _plain(found: Prediction | None) -> Json | None:
    if found is None:
        return None
    return {name: each._asdict() if isinstance(each, Predicted) else each for name, each in found._asdict().items()}

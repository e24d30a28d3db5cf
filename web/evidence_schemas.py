"""What the reports on the strength of evidence take and answer."""

from pydantic import Field

from bandit.standing import State
from web.fields import Answer, Id
from web.report_schemas import Period, Report
from web.schemas import OfTenant


class SlotQuery(OfTenant):
    """Which slot, as it is now."""

    slot: Id


class LiftQuery(Period):
    """Against what."""

    banner: Id | None = Field(None, description="Compare with this banner, as the holdout saw it, not with all of it.")


class Measured(Answer):
    """What one side did."""

    trials: int
    clicks: int
    value: float = Field(description="The clicks, each times the weight its banner has now.")
    ctr: float | None = Field(description="Clicks per trial.")
    value_per_trial: float | None


class Ratio(Answer):
    """By how much the learned side's rate exceeds the other's."""

    lift: float | None = Field(description="0.25 is a quarter more; null without trials on a side.")
    low: float | None
    high: float | None
    conclusive: bool = Field(description="The interval lies wholly on one side of 0.")
    further_trials: int | None = Field(
        description="Of both sides together, until a lift of this size is conclusive with probability 0.8; 0 when it "
        "is, null when nothing can be said."
    )


class LiftReport(Report, Ratio):
    """How much better the learned choice does than the holdout: clicks per trial, and under `value` their value."""

    over: str | None = Field(description="The banner compared with; null: the whole holdout.")
    learned: Measured
    holdout: Measured
    value: Ratio = Field(description="The same for value per trial.")
    confidence: float


class BannerStanding(Answer):
    """One banner over all cities, each with its share of the traffic."""

    banner: str
    trials: float = Field(description="Faded by age.")
    value_per_trial: float = Field(description="Expected.")
    p_best: float
    expected_loss: float = Field(description="Value per trial lost by showing only this one, whichever is the best.")


class StandingReport(Answer):
    """Where the race stands. It says, and never acts; other evidence revokes it."""

    slot: str
    day: str = Field(json_schema_extra={"format": "date"})
    state: State = Field(
        description="winner: one banner is the best with probability 0.95; tie: no other is better than the likeliest "
        "by more than 1 %, with that probability; leader: one is the best with probability 0.8; else exploring."
    )
    ahead: list[str] = Field(description="The winner or leader, or those that are tied.")
    value_remaining: float | None = Field(
        description="With probability 0.95 no banner is better than the likeliest by more; 0.02 is 2 % of its value. "
        "null while nothing was measured."
    )
    banners: list[BannerStanding] = Field(description="The likeliest to be best first; paused ones are not among them.")


class SampleRatio(Answer):
    """One banner."""

    banner: str
    decisions: int = Field(description="It competed in.")
    drawn: int = Field(description="Of them, those that fell on it.")
    inverse: float = Field(description="The sum of 1 / propensity over those.")
    ratio: float = Field(description="Of inverse and decisions; 1 is right.")
    tolerance: float = Field(description="How far from 1 chance may take it, but for one in 10,000.")
    alarm: bool


class SamplingReport(Report):
    """Whether banners were drawn as often as the log says."""

    alarm: bool = Field(description="A banner is out of ratio: do not believe what is computed from this log.")
    rows: list[SampleRatio]


class Predicted(Answer):
    """With its interval."""

    expected: float
    low: float
    high: float


class Prediction(Answer):
    """Per trial, and the lift."""

    shown: Predicted = Field(description="Per trial, of what was shown.")
    learned: Predicted = Field(description="Per trial, of what would have been chosen.")
    lift: Predicted = Field(description="0.25 is a quarter more.")
    conclusive: bool = Field(description="The lift's interval lies wholly on one side of 0.")


class ShadowReport(Report):
    """What the learned choice would have earned, from the days in shadow."""

    impressions: int = Field(description="Shown by rule: in shadow, pinned or default.")
    agreed: float | None = Field(description="The share of choices that would have been the same, were they unrelated.")
    covered: float = Field(description="The share of choices that fell on what was shown in that city, too.")
    clicks: Prediction | None = Field(description="null while less than 0.9 is covered.")
    value: Prediction | None
    confidence: float

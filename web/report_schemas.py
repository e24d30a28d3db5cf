"""What /reports takes and answers."""

from typing import Literal

from pydantic import Field

from bandit.model import Policy
from web.fields import Answer, CityText, Day, Id
from web.schemas import OfTenant

Format = Literal["json", "csv"]


class Period(OfTenant):
    """A slot, and days in the tenant's zone, both included."""

    slot: Id
    from_: Day | None = Field(None, alias="from", description="First day; 30 days up to `to` when absent.")
    to: Day | None = Field(None, description="Last day; today when absent.")


class ReferrerQuery(Period):
    """Counts by referrer can be narrowed to nothing else."""

    format: Format = "json"


class ReportQuery(ReferrerQuery):
    """Which counts."""

    city: CityText | None = Field(
        None, description="Only this city, as people write it; `_other` and `_unknown` are cities too."
    )
    banner: Id | None = Field(None, description="Only this banner.")
    policy: Policy | None = Field(None, description="Only what was chosen in this way.")


class ClicksQuery(OfTenant):
    """Which clicks."""

    city: CityText = Field(description="As people write it; `_other` and `_unknown` are cities too.")
    day: Day = Field(description="The day of the impression, in the tenant's zone.")
    format: Format = "json"


class CitiesQuery(OfTenant):
    """Whose cities."""

    format: Format = "json"


class Row(Answer):
    """One group. Clicks are at most views, and views at most impressions."""

    served: int
    viewed: int
    clicks: int
    trials: int = Field(description="Impressions or views, as the slot says.")
    ctr: float | None = Field(description="Clicks per trial.")
    ctr_low: float = Field(description="The 95 % interval of the click rate.")
    ctr_high: float
    share: float | None = Field(description="Of the trials of all rows.")
    value: float = Field(description="The clicks, each times the weight its banner has now.")
    value_per_trial: float | None


class BannerRow(Row):
    """A banner."""

    banner: str
    p_best: float | None = Field(description="The chance that it is worth the most; null for one that cannot compete.")
    estimate: float | None = Field(
        description="Its expected click rate now: of the counts, faded by age, and of what they borrow from the slot's "
        "other cities (where one is asked for) and banners."
    )
    estimate_low: float | None = Field(description="The 95 % interval of that rate.")
    estimate_high: float | None
    borrowed_trials: float | None = Field(description="How many more trials it would need to be known as well alone.")


class CityRow(Row):
    """A city."""

    city: str


class DayRow(Row):
    """A day in the tenant's zone."""

    day: str = Field(json_schema_extra={"format": "date"})


class PolicyRow(Row):
    """A way of choosing."""

    policy: str


class ReferrerRow(Row):
    """A referrer."""

    referrer: str


class SegmentRow(Row):
    """A segment of customers."""

    segment: str


class Report(Answer):
    """What a report is about."""

    slot: str
    from_: str = Field(alias="from", json_schema_extra={"format": "date"})
    to: str = Field(json_schema_extra={"format": "date"})
    time_zone: str


class BannerReport(Report):
    """By banner."""

    rows: list[BannerRow]


class CityReport(Report):
    """By city."""

    rows: list[CityRow]


class DayReport(Report):
    """By day."""

    rows: list[DayRow]


class PolicyReport(Report):
    """By policy."""

    rows: list[PolicyRow]


class SegmentReport(Report):
    """By segment of customers."""

    rows: list[SegmentRow]


class ReferrerReport(Report):
    """By referrer."""

    rows: list[ReferrerRow]


class ClickFull(Answer):
    """One accepted click; times with the offset of the tenant's zone."""

    received_at: str = Field(json_schema_extra={"format": "date-time"})
    served_at: str = Field(json_schema_extra={"format": "date-time"})
    slot: str
    banner: str
    customer: str | None = Field(description="Keyed hash of the customer, as hex.")
    referrer: str | None


class ClickReport(Answer):
    """Clicks by time of receipt."""

    city: str
    day: str = Field(json_schema_extra={"format": "date"})
    time_zone: str
    truncated: bool = Field(description="There are more; `rows` has the latest 10,000.")
    rows: list[ClickFull]


class UnrecognisedCity(Answer):
    """A name no city of the tenant goes by."""

    city: str
    impressions: int


class CitiesReport(Answer):
    """Most frequent first."""

    rows: list[UnrecognisedCity]

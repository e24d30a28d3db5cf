"""The kinds of values that requests carry: what is accepted, how the documentation shows it, what a refusal says."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from bandit.model import ID_PATTERN
from web.errors import ApiError, printable

URL_PATTERN = r"^https?://[!-~]+$"
PICTURE_URL_PATTERN = r"^(?:(?:https?://|/media/)[!-~]+)?$"
ORIGIN_PATTERN = r"^https?://[A-Za-z0-9.\[\]:-]+$"
JOB_PATTERN = r"^[0-9a-f]{32}$"
KEY_PATTERN = r"^[0-9a-f]{12}$"
TEXT_PATTERN = r"^[^\x00-\x1f\x7f]*$"
COLUMN_PATTERN = r"^[^\x00-\x1f\x7f]+$"
FILTER_PATTERN = r"^[^\x00-\x1f\x7f=]*[^\x00-\x20\x7f=][^\x00-\x1f\x7f=]*=[^\x00-\x1f\x7f]*$"
CITY_PATTERN = r"^[^\x00-\x1f\x7f]{1,64}$"
DATE_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_YEAR, _LAST_YEAR = 2000, 2200


class _Known(BaseModel):
    """Takes the fields it declares, and refuses others by saying which there are."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, given: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        unknown = [name for name in given if name not in known] if isinstance(given, dict) else []
        if unknown:
            field = printable(unknown[0])
            raise ApiError(400, "unknown_field", f"{field} is not known here; there are: {', '.join(known)}", field)
        return given


class Body(_Known):
    """A JSON body: nothing unknown, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Parameters(_Known):
    """Path or query parameters: text that is read as the declared types; nothing unknown."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Answer(BaseModel):
    """A documented answer."""

    model_config = ConfigDict(extra="forbid")


def _matching(pattern: str, hint: str) -> Callable[[str], str]:
    accepted = re.compile(pattern)

    def check(value: str) -> str:
        if accepted.fullmatch(value) is None or value.endswith("\n"):
            raise ValueError(hint)
        return value

    return check


def _shown(pattern: str, **more: Any) -> Any:
    return Field(json_schema_extra={"pattern": pattern, **more})


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _time_zone(value: str) -> str:
    if value not in _time_zones():
        raise ValueError("must be the name of a time zone, such as Asia/Kolkata")
    return value


def _web_address(value: str) -> str:
    """http or https with a host, nothing that a header or a log would have to escape."""
    parts = urlsplit(value)
    if not parts.hostname or parts.port == 0 or "@" in parts.netloc:
        raise ValueError("must be an http or https URL with a host, and without a user name")
    return value


def _picture_address(value: str) -> str:
    if not value.startswith("/media/"):
        return _web_address(value) if value else value
    if ".." in value or "//" in value:
        raise ValueError("must name a picture under /media/")
    return value


def _origin(value: str) -> str:
    """As browsers write it: lower case, and no port where it is the scheme's own."""
    parts = urlsplit(value.lower())
    if not parts.hostname or parts.port == 0:
        raise ValueError("must be scheme://host or scheme://host:port, as browsers send it")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    own_port = parts.port is None or parts.port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if own_port else f"{parts.scheme}://{host}:{parts.port}"


def _moment(value: object) -> object:
    """UTC. A time without its offset would be guessed, hence refused."""
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise ValueError("must be a time with its offset, such as 2026-01-31T09:00:00+05:30")
    if not _FIRST_YEAR <= parsed.year < _LAST_YEAR:
        raise ValueError(f"must be of the years {_FIRST_YEAR} to {_LAST_YEAR - 1}")
    return parsed.astimezone(UTC)


def _day(value: object) -> object:
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str) or re.fullmatch(DATE_PATTERN, value) is None:
        raise ValueError("must be a day such as 2026-01-31")
    return date.fromisoformat(value)


_is_id = AfterValidator(
    _matching(ID_PATTERN, "must be 1 to 32 letters, digits, '_', '.' or '-', the first a letter or digit")
)
Id = Annotated[str, _is_id, _shown(ID_PATTERN)]
IdName = Annotated[str, _is_id]
"""An id as a name in an object. (The library's OpenAPI model does not know patterns of names.)"""
CityText = Annotated[
    str,
    AfterValidator(_matching(CITY_PATTERN, "must be text of 1 to 64 characters, none of them a control character")),
    _shown(CITY_PATTERN),
]
"""A city as people write it."""
Text = Annotated[
    str,
    StringConstraints(max_length=200),
    AfterValidator(_matching(TEXT_PATTERN, "must be one line, without control characters")),
    _shown(TEXT_PATTERN),
]
"""Free text for people: one line."""
TimeZone = Annotated[str, AfterValidator(_time_zone), Field(examples=["Asia/Kolkata"])]
LandingUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(
        _matching(URL_PATTERN, "must be an absolute http or https URL in ASCII, other letters percent-encoded")
    ),
    AfterValidator(_web_address),
    _shown(URL_PATTERN),
]
PictureUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(
        _matching(PICTURE_URL_PATTERN, "must be an http or https URL, or /media/... of an uploaded picture")
    ),
    AfterValidator(_picture_address),
    _shown(PICTURE_URL_PATTERN),
]
Origin = Annotated[
    str,
    StringConstraints(max_length=255),
    AfterValidator(_matching(ORIGIN_PATTERN, "must be scheme://host or scheme://host:port, without a path")),
    AfterValidator(_origin),
    _shown(ORIGIN_PATTERN),
]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Day = Annotated[date, BeforeValidator(_day)]
JobId = Annotated[str, AfterValidator(_matching(JOB_PATTERN, "must be the id of a job")), _shown(JOB_PATTERN)]
KeyId = Annotated[
    str,
    AfterValidator(_matching(KEY_PATTERN, "must be the id of a key: 12 digits or letters from a to f")),
    _shown(KEY_PATTERN),
]
ColumnName = Annotated[
    str,
    StringConstraints(max_length=100),
    AfterValidator(_matching(COLUMN_PATTERN, "must be the name of a column, without control characters")),
    _shown(COLUMN_PATTERN, minLength=1),
]
Filter = Annotated[
    str,
    StringConstraints(max_length=200),
    AfterValidator(_matching(FILTER_PATTERN, "must be COLUMN=VALUE, such as position=1")),
    _shown(FILTER_PATTERN),
]
Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1, le=20_000)]

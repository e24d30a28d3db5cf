"""The form of a banner's rules: shown in the tenant's zone, read back as an API body would be."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from bandit.model import Banner, Slot, Tenant
from web.admin import values
from web.admin_rules import check_banner
from web.dashboard import in_words
from web.errors import ApiError
from web.refusals import refuse_invalid
from web.schemas import BannerPatch

BOXES = ("enabled", "pinned")
NUMBERS = ("weight", "min_share", "max_share")
LISTS = ("cities", "excluded_cities")
TIMES = ("starts_at", "ends_at")
LABELS = {
    "enabled": "Takes part",
    "pinned": "Pinned",
    "weight": "Weight",
    "min_share": "Least share",
    "max_share": "Largest share",
    "starts_at": "Starts",
    "ends_at": "Ends",
    "cities": "Only in these cities",
    "excluded_cities": "Not in these cities",
}
"""Every field of the form, and what the page calls it."""
_HIDDEN = "was_"
"""Before the name of a hidden field, which says what the form was opened with."""
# The other names are ordinary words, which a message may use as such.
_NAMES_IN_MESSAGES = re.compile(rf"\b(?:{'|'.join(name for name in LABELS if '_' in name)})\b")


class Wanted(NamedTuple):
    """What a form asks for: the banner, and the slot with or without its pin."""

    banner: Banner
    slot: Slot


def filled(banner: Banner, slot: Slot, zone: str) -> dict[str, str]:
    """The fields of the form as they are now; an unchecked box is not there."""
    fields = {name: repr(getattr(banner, name)).removesuffix(".0") for name in NUMBERS}
    fields |= {name: ", ".join(getattr(banner, name)) for name in LISTS}
    fields |= {name: _local(getattr(banner, name), zone) for name in TIMES}
    boxes = {"enabled": banner.enabled, "pinned": slot.pinned_banner == banner.id}
    return fields | {name: "yes" for name, is_checked in boxes.items() if is_checked}


def hidden(stored: Mapping[str, str]) -> dict[str, str]:
    """The fields as they are now, sent along with those that people fill in."""
    return {_HIDDEN + name: value for name, value in stored.items()}


def rebased(sent: Mapping[str, str], stored: Mapping[str, str], zone: str) -> tuple[dict[str, str], dict[str, str]]:
    """What is stored now with what was changed in the form on top; and what somebody else changed since it was opened
    and this form does not change alike, by label, as it is now."""
    opened = {name: sent[_HIDDEN + name] for name in LABELS if _HIDDEN + name in sent}
    ours = _differing(opened, sent, zone)
    theirs = [name for name in _differing(opened, stored, zone) if name in _differing(sent, stored, zone)]
    fields = {name: sent.get(name) if name in ours else stored.get(name) for name in LABELS}
    form = {name: value for name, value in fields.items() if value is not None}
    return form, {LABELS[name]: _told(name, stored) for name in theirs}


def _differing(before: Mapping[str, str], after: Mapping[str, str], zone: str) -> list[str]:
    """Names of fields. Their values are compared, since browsers write a time in another way than we do."""
    one, other = _given(before, zone), _given(after, zone)
    return [name for name in LABELS if one[name] != other[name]]


def _told(name: str, stored: Mapping[str, str]) -> str:
    if name in BOXES:
        return "checked" if name in stored else "unchecked"
    return stored[name] or "empty"


def read(form: Mapping[str, str], tenant: Tenant, slot: Slot, banner: Banner, others: Mapping[str, Banner]) -> Wanted:
    """What the form asks for. Raises ApiError that names the field."""
    given = _given(form, tenant.time_zone)
    is_pinned = given.pop("pinned")
    try:
        body = BannerPatch.model_validate(given)
    except ValidationError as error:
        refuse_invalid(error)
    wanted = replace(banner, **values(body, banner.id, given_only=True))
    check_banner(tenant, slot, wanted, others.values())
    if is_pinned and not wanted.enabled:
        message = f"a paused banner is shown to nobody; check {LABELS['enabled']}, or uncheck this"
        raise ApiError(400, "bad_value", message, "pinned")
    return Wanted(wanted, replace(slot, pinned_banner=_pin(slot, banner.id, is_wanted=is_pinned)))


def _given(form: Mapping[str, str], zone: str) -> dict[str, Any]:
    """The values that the fields stand for, as an API body would have them."""
    given: dict[str, Any] = {name: _number(form.get(name, "")) for name in NUMBERS}
    given |= {name: _listed(form, name) for name in LISTS}
    given |= {name: _zoned(form.get(name, ""), zone) for name in TIMES}
    return given | {name: name in form for name in BOXES}


def refusal(error: ApiError, form: Mapping[str, str]) -> tuple[str, str]:
    """The field that is wrong with the form, and what would be right, in the words of its page."""
    name, _, index = (error.field or "").partition(".")
    message = error.message.removeprefix(f"{error.field} ")
    message = _NAMES_IN_MESSAGES.sub(lambda found: LABELS[found[0]], message)
    entry = f"{_listed(form, name)[int(index)]} " if index and name in LABELS else ""
    return name, in_words(name, entry + message, LABELS)


def _listed(form: Mapping[str, str], name: str) -> list[str]:
    return [each.strip() for each in form.get(name, "").split(",") if each.strip()]


def _pin(slot: Slot, banner: str, *, is_wanted: bool) -> str | None:
    if is_wanted:
        return banner
    return None if slot.pinned_banner == banner else slot.pinned_banner


def _local(value: datetime | None, zone: str) -> str:
    return "" if value is None else value.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M:%S")


def _zoned(text: str, zone: str) -> str | None:
    """The moment as the API takes it; what is no time is left for it to refuse."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).isoformat()
    except ValueError:
        return text


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text

"""What the calls under /admin share: finding what the path names, reading a body, showing a value."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bandit.model import ApiKey, Banner, Slot, Tenant
from web.context import context
from web.errors import ApiError
from web.fields import Body

Json = dict[str, Any]


def find_slot(tenant: str, slot: str) -> Slot:
    """The slot; ApiError 404 where there is none."""
    found = context().current().slots.get((tenant, slot))
    if found is None:
        raise ApiError(404, "unknown", f"there is no slot {slot}", "slot")
    return found


def find_banner(tenant: str, slot: str, banner: str) -> Banner:
    """The banner; ApiError 404 where there is none."""
    find_slot(tenant, slot)
    found = banners_of(tenant, slot).get(banner)
    if found is None:
        raise ApiError(404, "unknown", f"there is no banner {banner} in slot {slot}", "banner")
    return found


def banners_of(tenant: str, slot: str) -> Mapping[str, Banner]:
    """The slot's banners by id, in order of creation."""
    return context().current().banners.get((tenant, slot), {})


def exists_already(what: str, identifier: str) -> ApiError:
    """The refusal to make a second one."""
    return ApiError(409, "exists", f"there is a {what} {identifier} already; PUT or PATCH changes it", "id")


def values(body: Body, identifier: str | None = None, *, given_only: bool = False) -> dict[str, Any]:
    """The body's values as the fields of a model value, without its id.

    `identifier` is the id in the path, which the body may repeat. With `given_only`, only what the body says.
    """
    named: str | None = getattr(body, "id", None)
    if identifier is not None and named not in (None, identifier):
        raise ApiError(400, "bad_value", f"the path says {identifier}; an id never changes", "id")
    names = body.model_fields_set if given_only else type(body).model_fields
    return {name: _frozen(getattr(body, name)) for name in names if name != "id"}


def show(value: Tenant | ApiKey | Slot | Banner, zone: str, *, without: frozenset[str] = frozenset()) -> Json:
    """The value as JSON, its times in the zone."""
    names = (field.name for field in fields(value) if field.name not in without)
    return {name: _plain(getattr(value, name), zone) for name in names}


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return {name: tuple(each) for name, each in value.items()} if isinstance(value, dict) else value


def _plain(value: Any, zone: str) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(ZoneInfo(zone)).isoformat()
    if isinstance(value, Mapping):
        return {name: list(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value

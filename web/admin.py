"""What the calls under /admin share: finding what the path names, reading a body, showing a value."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from bandit.model import ApiKey, Banner, Slot, Tenant
from storage.base import Conflict
from web.context import context
from web.errors import ApiError
from web.fields import Body

Json = dict[str, Any]
Result = TypeVar("Result")
ATTEMPTS = 5
"""How often a change is tried while others change the configuration too."""


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


def id_was_used(what: str, identifier: str) -> ApiError:
    """The refusal to call another thing as a removed one was called."""
    message = f"a removed {what} was called {identifier}, and its counts stay; choose another id"
    return ApiError(409, "id_used", message, "id")


def change(attempt: Callable[[int], Result]) -> Result:
    """What `attempt` answers. It is given the configuration's version, reads what it needs, and puts expecting that
    version; when somebody else's change came in between it begins again, so that no change undoes another.

    Raises ApiError 409 when that happens every time.
    """
    for _ in range(ATTEMPTS):
        # The version comes first: what is read after it may be newer, and then the put is refused.
        version = context().current().version
        with suppress(Conflict):
            return attempt(version)
    raise ApiError(409, "conflict", "others change the configuration at this moment; please try again")


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

"""What must hold between the parts of a tenant's configuration. Each rule refuses with the field and what is right."""

from collections.abc import Collection, Iterable, Mapping
from math import fsum

from bandit.city import fold
from bandit.model import Banner, Configuration, Slot, Tenant
from web.errors import ApiError


def check_tenant(tenant: Tenant, configuration: Configuration) -> None:
    """The tenant by itself, and against the slots and banners it has."""
    _check_city_names(tenant)
    for (owner, _), slot in configuration.slots.items():
        if owner == tenant.id:
            check_slot_in_use(tenant, slot, configuration.banners.get((owner, slot.id), {}))


def check_slot_in_use(tenant: Tenant, slot: Slot, banners: Mapping[str, Banner]) -> None:
    """The slot, and its banners against it: a change must not leave a banner behind that names what is gone."""
    check_slot(tenant, slot, banners)
    for banner in banners.values():
        try:
            _check_names(tenant, slot, banner)
        except ApiError as error:
            message = f"banner {banner.id} of slot {slot.id} needs it: its {error.field}: {error.message}"
            raise ApiError(409, "in_use", message, error.field) from None


def check_slot(tenant: Tenant, slot: Slot, banners: Collection[str]) -> None:
    """The slot by itself and against its tenant; `banners` are the ids in it."""
    _check_known(slot.platforms, tenant.platforms, "platforms", "a platform of the tenant")
    for field, banner in (("pinned_banner", slot.pinned_banner), ("default_banner", slot.default_banner)):
        if banner is not None and banner not in banners:
            raise ApiError(400, "bad_value", f"{banner} is not a banner of this slot", field)


def check_banner(tenant: Tenant, slot: Slot, banner: Banner, others: Iterable[Banner]) -> None:
    """The banner by itself, against its tenant and slot, and beside the slot's other banners."""
    _check_names(tenant, slot, banner)
    _check_picture(tenant, banner)
    if banner.starts_at and banner.ends_at and banner.starts_at >= banner.ends_at:
        raise ApiError(400, "bad_value", "ends_at must be after starts_at", "ends_at")
    if banner.min_share > banner.max_share:
        raise ApiError(400, "bad_value", "min_share must not exceed max_share", "min_share")
    floors = fsum(other.min_share for other in others if other.enabled and other.id != banner.id)
    if banner.enabled and banner.min_share + floors > 1:
        raise ApiError(400, "bad_value", f"the other banners' min_share leave {1 - floors:.3g} at most", "min_share")


def _check_names(tenant: Tenant, slot: Slot, banner: Banner) -> None:
    _check_known(banner.cities, tenant.cities, "cities", "a city of the tenant")
    _check_known(banner.excluded_cities, tenant.cities, "excluded_cities", "a city of the tenant")
    _check_known(banner.platforms, slot.platforms, "platforms", "a platform of the slot")
    _check_known(banner.segments, tenant.segments, "segments", "a segment of the tenant")


def _check_picture(tenant: Tenant, banner: Banner) -> None:
    if banner.enabled and not banner.image_url:
        message = "a banner without a picture must be paused until one is uploaded or image_url is given"
        raise ApiError(400, "bad_value", message, "image_url")
    if banner.image_url.startswith("/media/") and not banner.image_url.startswith(f"/media/{tenant.id}/"):
        raise ApiError(400, "bad_value", f"pictures of this tenant are under /media/{tenant.id}/", "image_url")


def _check_known(names: Iterable[str], known: Collection[str], field: str, what: str) -> None:
    for name in names:
        if name not in known:
            raise ApiError(400, "bad_value", f"{name} is not {what}", field)


def _check_city_names(tenant: Tenant) -> None:
    owners: dict[str, str] = {}
    for city, aliases in tenant.cities.items():
        for name in dict.fromkeys((city, *aliases)):
            folded, field = fold(name), f"cities.{city}"
            if not folded:
                raise ApiError(400, "bad_value", "a name needs a letter or digit", field)
            if owners.setdefault(folded, city) != city:
                raise ApiError(400, "bad_value", f"{name!r} already means {owners[folded]}", field)

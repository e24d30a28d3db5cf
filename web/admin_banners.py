"""Banners of a slot, and the upload of their pictures."""

from collections.abc import Callable
from dataclasses import replace

from bandit.model import Banner, Role, Tenant
from web import changes
from web.admin import Json, banners_of, change, exists_already, find_banner, find_slot, id_was_used, show, values
from web.admin_rules import check_banner
from web.auth import requires, tenant_of_call
from web.context import context
from web.errors import ApiError
from web.media import MAX_PICTURE_BYTES, PictureUpload, store_picture
from web.openapi import CHANGE_REFUSED, blueprint, errors
from web.schemas import MAX_BANNERS, BannerBody, BannerFull, BannerList, BannerPatch, BannerPath, OfTenant, SlotPath

banners = blueprint("banners", "/admin", "Pictures that compete: link, value of a click, and when each may be shown.")
HIDDEN = frozenset({"slot"})


@banners.get("/slots/<slot>/banners", responses={200: BannerList})
@requires(Role.ADMIN)
def list_banners(path: SlotPath, query: OfTenant) -> Json:
    """All banners of the slot, in order of creation."""
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    return {"banners": [_shown(tenant, each) for each in banners_of(tenant.id, path.slot).values()]}


@banners.post("/slots/<slot>/banners", responses={201: BannerFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def create_banner(path: SlotPath, query: OfTenant, body: BannerFull) -> tuple[Json, int, dict[str, str]]:
    """Make a banner. The id of a removed one stays taken, because its counts do."""

    def make(tenant: Tenant) -> Banner:
        find_slot(tenant.id, path.slot)
        _check_id_is_free(tenant.id, path.slot, body.id)
        return Banner(slot=path.slot, id=body.id, **values(body))

    return save_banner(query.tenant, make), 201, {"Location": f"/admin/slots/{path.slot}/banners/{body.id}"}


@banners.get("/slots/<slot>/banners/<banner>", responses={200: BannerFull})
@requires(Role.ADMIN)
def show_banner(path: BannerPath, query: OfTenant) -> Json:
    """One banner."""
    tenant = tenant_of_call(query.tenant)
    return _shown(tenant, find_banner(tenant.id, path.slot, path.banner))


@banners.put("/slots/<slot>/banners/<banner>", responses={200: BannerFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def replace_banner(path: BannerPath, query: OfTenant, body: BannerBody) -> Json:
    """Replace all of a banner's settings."""
    changes = values(body, path.banner)

    def make(tenant: Tenant) -> Banner:
        return Banner(slot=path.slot, id=find_banner(tenant.id, path.slot, path.banner).id, **changes)

    return save_banner(query.tenant, make)


@banners.patch("/slots/<slot>/banners/<banner>", responses={200: BannerFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def change_banner(path: BannerPath, query: OfTenant, body: BannerPatch) -> Json:
    """Change the settings given, keep the others; `{"enabled": false}` pauses."""
    changes = values(body, path.banner, given_only=True)
    return save_banner(query.tenant, lambda tenant: replace(find_banner(tenant.id, path.slot, path.banner), **changes))


@banners.delete("/slots/<slot>/banners/<banner>", responses={204: None, **errors(409)})
@requires(Role.ADMIN)
def remove_banner(path: BannerPath, query: OfTenant) -> tuple[str, int]:
    """Remove a banner; what was counted stays, so its id is not free again."""
    tenant = tenant_of_call(query.tenant)
    banner = find_banner(tenant.id, path.slot, path.banner)
    slot = find_slot(tenant.id, path.slot)
    if banner.id in (slot.default_banner, slot.pinned_banner):
        raise ApiError(
            409, "in_use", "the slot's default_banner or pinned_banner is this one; change it first", "banner"
        )
    changes.delete_banner(tenant.id, slot.id, banner.id)
    return "", 204


@banners.put("/slots/<slot>/banners/<banner>/picture", responses={200: BannerFull, **CHANGE_REFUSED})
@requires(Role.ADMIN, body_bytes=MAX_PICTURE_BYTES)
def upload_picture(path: BannerPath, query: OfTenant, raw: PictureUpload) -> Json:
    """Give the banner a picture: PNG, JPEG or WebP as the body, at most 1 MiB. Sets image_url, width and height."""
    tenant = tenant_of_call(query.tenant)
    find_banner(tenant.id, path.slot, path.banner)  # before anything is stored
    name, picture = store_picture(context().media_directory / tenant.id, raw)
    url, width, height = f"/media/{tenant.id}/{name}", picture.width, picture.height

    def make(tenant: Tenant) -> Banner:
        # Read again: storing a picture takes a while, and a pause in between must stay.
        banner = find_banner(tenant.id, path.slot, path.banner)
        return replace(banner, image_url=url, width=width, height=height)

    return save_banner(query.tenant, make)


def _check_id_is_free(tenant: str, slot: str, banner: str) -> None:
    present = banners_of(tenant, slot)
    if banner in present:
        raise exists_already("banner", banner)
    if context().store.banner_was_used(tenant, slot, banner):
        raise id_was_used("banner", banner)
    if len(present) >= MAX_BANNERS:
        raise ApiError(409, "too_many", f"a slot has at most {MAX_BANNERS} banners; remove one first", "slot")


def save_banner(named_tenant: str | None, make: Callable[[Tenant], Banner]) -> Json:
    """Check and store what `make` makes; it is made again where others change the configuration meanwhile. Raises
    ApiError."""

    def attempt(version: int) -> Json:
        tenant = tenant_of_call(named_tenant)
        banner = make(tenant)
        slot = find_slot(tenant.id, banner.slot)
        check_banner(tenant, slot, banner, banners_of(tenant.id, slot.id).values())
        changes.put_banner(tenant.id, banner, expected_version=version)
        return _shown(tenant, banner)

    return change(attempt)


def _shown(tenant: Tenant, banner: Banner) -> Json:
    return show(banner, tenant.time_zone, without=HIDDEN)

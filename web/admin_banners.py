"""Banners of a slot, and the upload of their pictures."""

from dataclasses import replace

from bandit.model import Banner, Role, Tenant
from web.admin import Json, banners_of, exists_already, find_banner, find_slot, show, values
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
    tenant = tenant_of_call(query.tenant)
    find_slot(tenant.id, path.slot)
    _check_id_is_free(tenant.id, path.slot, body.id)
    location = {"Location": f"/admin/slots/{path.slot}/banners/{body.id}"}
    return _saved(tenant, Banner(slot=path.slot, id=body.id, **values(body))), 201, location


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
    tenant = tenant_of_call(query.tenant)
    find_banner(tenant.id, path.slot, path.banner)
    return _saved(tenant, Banner(slot=path.slot, id=path.banner, **values(body, path.banner)))


@banners.patch("/slots/<slot>/banners/<banner>", responses={200: BannerFull, **CHANGE_REFUSED})
@requires(Role.ADMIN)
def change_banner(path: BannerPath, query: OfTenant, body: BannerPatch) -> Json:
    """Change the settings given, keep the others; `{"enabled": false}` pauses."""
    tenant = tenant_of_call(query.tenant)
    banner = find_banner(tenant.id, path.slot, path.banner)
    return _saved(tenant, replace(banner, **values(body, path.banner, given_only=True)))


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
    context().store.delete_banner(tenant.id, slot.id, banner.id)
    return "", 204


@banners.put("/slots/<slot>/banners/<banner>/picture", responses={200: BannerFull, **CHANGE_REFUSED})
@requires(Role.ADMIN, body_bytes=MAX_PICTURE_BYTES)
def upload_picture(path: BannerPath, query: OfTenant, raw: PictureUpload) -> Json:
    """Give the banner a picture: PNG, JPEG or WebP as the body, at most 1 MiB. Sets image_url, width and height."""
    tenant = tenant_of_call(query.tenant)
    banner = find_banner(tenant.id, path.slot, path.banner)
    name, picture = store_picture(context().media_directory / tenant.id, raw)
    url = f"/media/{tenant.id}/{name}"
    return _saved(tenant, replace(banner, image_url=url, width=picture.width, height=picture.height))


def _check_id_is_free(tenant: str, slot: str, banner: str) -> None:
    present = banners_of(tenant, slot)
    if banner in present:
        raise exists_already("banner", banner)
    if context().store.banner_was_used(tenant, slot, banner):
        message = f"a removed banner was called {banner}, and its counts stay; choose another id"
        raise ApiError(409, "id_used", message, "id")
    if len(present) >= MAX_BANNERS:
        raise ApiError(409, "too_many", f"a slot has at most {MAX_BANNERS} banners; remove one first", "slot")


def _saved(tenant: Tenant, banner: Banner) -> Json:
    slot = find_slot(tenant.id, banner.slot)
    check_banner(tenant, slot, banner, banners_of(tenant.id, slot.id).values())
    context().store.put_banner(tenant.id, banner)
    return _shown(tenant, banner)


def _shown(tenant: Tenant, banner: Banner) -> Json:
    return show(banner, tenant.time_zone, without=HIDDEN)

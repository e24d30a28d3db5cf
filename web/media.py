"""Banner pictures on our own disk: taken from an upload, served to anybody, never changed under the same name."""

import hashlib
import re
import secrets
from pathlib import Path

from flask import Response, send_from_directory
from flask_openapi3.models import RawModel

from web.auth import requires
from web.context import context
from web.errors import ApiError
from web.fields import Id, Parameters
from web.openapi import blueprint, content, errors
from web.pictures import NotAPicture, Picture, recognise

MAX_PICTURE_BYTES = 1 << 20
TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "svg": "image/svg+xml"}
UPLOAD_TYPES = ("image/png", "image/jpeg", "image/webp")
YEAR_SECONDS = 365 * 86_400
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(png|jpg|webp|svg)")

media = blueprint("media", "/media", "Pictures of banners.", open_to_all=True)


class PictureUpload(RawModel):
    """The body of an upload."""

    mimetypes: list[str] = list(UPLOAD_TYPES)  # noqa: RUF012 - declared so by the library


class PicturePath(Parameters):
    """A picture of a tenant."""

    tenant: Id
    name: str


@media.get(
    "/<tenant>/<name>",
    responses={200: content("The picture.", *TYPES.values()), 304: None, **errors(400, 404)},
)
@requires("public")
def show_picture(path: PicturePath) -> Response:
    """A picture; its name never means another one, so it may be kept for ever."""
    named = _NAME.fullmatch(path.name)
    directory = context().media_directory / path.tenant
    if named is None or not (directory / path.name).is_file():
        raise ApiError(404, "unknown", "there is no such picture", "name")
    answer = send_from_directory(directory.resolve(), path.name, mimetype=TYPES[named[1]], max_age=YEAR_SECONDS)
    answer.cache_control.immutable = True
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return answer


def store_picture(directory: Path, upload: PictureUpload) -> tuple[str, Picture]:
    """Check the uploaded body and keep it; its name in the directory, and what it is. Raises ApiError."""
    if upload.mimetype not in UPLOAD_TYPES:
        raise ApiError(415, "media_type", f"Content-Type must be one of {', '.join(UPLOAD_TYPES)}", "Content-Type")
    data = upload.get_data(cache=False)
    try:
        picture = recognise(data)
    except NotAPicture as error:
        raise ApiError(400, "bad_picture", str(error), "body") from None
    if TYPES[picture.format] != upload.mimetype:
        raise ApiError(400, "bad_picture", f"the body is {TYPES[picture.format]}; send it as that", "Content-Type")
    name = f"{hashlib.sha256(data).hexdigest()[:32]}.{picture.format}"
    _write(directory / name, data)
    return name, picture


def _write(path: Path, data: bytes) -> None:
    """All or nothing, so that nobody is served half a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}")
    part.write_bytes(data)
    part.rename(path)

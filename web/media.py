"""Banner pictures on our own disk: taken from an upload, served to anybody, never changed under the same name."""

import hashlib
import re
import secrets
from pathlib import Path

from flask import Response, request
from flask_openapi3.models import RawModel

from web.auth import requires
from web.context import context
from web.errors import ApiError
from web.fields import Id, Parameters
from web.guarded_request import GuardedRequest
from web.openapi import blueprint, content, errors
from web.pictures import NotAPicture, Picture, recognise

MAX_PICTURE_BYTES = 1 << 20
TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "svg": "image/svg+xml"}
UPLOAD_TYPES = ("image/png", "image/jpeg", "image/webp")
FOR_EVER = f"public, max-age={365 * 86_400}, immutable"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(png|jpg|webp|svg)")

media = blueprint("media", "/media", "Pictures of banners.", open_to_all=True)


class PictureUpload(GuardedRequest, RawModel):
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
    file = context().media_directory / path.tenant / path.name
    if named is None or not file.is_file():
        raise ApiError(404, "unknown", "there is no such picture", "name")
    answer = Response(file.read_bytes(), mimetype=TYPES[named[1]])
    answer.headers["Cache-Control"] = FOR_EVER
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    answer.set_etag(path.name)
    answer.make_conditional(request)
    return answer


def store_picture(directory: Path, upload: PictureUpload) -> tuple[str, Picture]:
    """Check the uploaded body and keep it; its name in the directory, and what it is. Raises ApiError."""
    media_type = upload.require_type(*UPLOAD_TYPES)
    data = b"".join(upload.chunks())
    try:
        picture = recognise(data)
    except NotAPicture as error:
        raise ApiError(400, "bad_picture", str(error), "body") from None
    if TYPES[picture.format] != media_type:
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

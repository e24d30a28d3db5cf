"""GET /tag.js: the script that shows banners on a page of any origin."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from flask import Response, request

from web.auth import requires
from web.openapi import blueprint, content

SOURCE = Path(__file__).parent / "static" / "tag.js"
AN_HOUR = "public, max-age=3600"
"""How long a page may go on with the tag it knows, also when the service is away."""

tag = blueprint("tag", "", "The script that shows banners on a page.", open_to_all=True)


class Served(NamedTuple):
    """The tag as it is sent."""

    plain: bytes
    gzipped: bytes
    etag: str


@tag.get("/tag.js", responses={200: content("The script.", "text/javascript"), 304: None})
@requires("public")
def show_tag() -> Response:
    """The storefront tag: a page loads it with a serve key as data-key, and it fills the slots of the page."""
    served = read_tag()
    zipped = request.accept_encodings.quality("gzip") > 0
    answer = Response(served.gzipped if zipped else served.plain, content_type="text/javascript; charset=utf-8")
    if zipped:
        answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Vary"] = "Accept-Encoding"
    answer.headers["Cache-Control"] = AN_HOUR
    # Pages that isolate themselves (Cross-Origin-Embedder-Policy) load only what allows it.
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    answer.set_etag(served.etag, weak=True)  # the same for both encodings
    answer.make_conditional(request)
    return answer


@cache
def read_tag() -> Served:
    """The source as it is sent; read when first asked for."""
    plain = minify(SOURCE.read_text("utf-8")).encode()
    return Served(plain, gzip.compress(plain, mtime=0), hashlib.sha256(plain).hexdigest()[:16])


def minify(source: str) -> str:
    """Without indentation, blank lines and lines that are comments: enough, since it is sent compressed.

    Line breaks stay, so that no rule about semicolons is touched.
    """
    lines = (line.strip() for line in source.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))

"""The storefront tag as it is sent; tests/browser has what it does."""

import gzip

from tests.web.flask_side import Side
from web.tag import SOURCE, minify, read_tag

MOST_BYTES = 3_000


def test_the_tag_is_small_once_it_is_minified_and_compressed() -> None:
    assert len(read_tag().gzipped) < MOST_BYTES


def test_only_comments_indentation_and_blank_lines_are_left_out() -> None:
    source = SOURCE.read_text("utf-8")
    kept = [line.strip() for line in source.splitlines() if line.strip() and not line.strip().startswith("//")]
    assert minify(source).splitlines() == kept
    # What stands in a text over several lines, or behind code, would be lost or kept against what is meant.
    assert source.count("`") % 2 == 0 and all(line.count("`") % 2 == 0 for line in kept)
    assert "/*" not in source


def test_the_tag_sets_no_cookie_and_keeps_nothing() -> None:
    assert not {"cookie", "localStorage", "sessionStorage", "indexedDB"} & set(SOURCE.read_text("utf-8").split("."))


def test_the_tag_is_sent_as_the_browser_takes_it(side: Side) -> None:
    plain = side.call("GET", "/tag.js", None)
    zipped = side.call("GET", "/tag.js", None, headers={"Accept-Encoding": "br;q=1.0, gzip;q=0.8"})
    refused = side.call("GET", "/tag.js", None, headers={"Accept-Encoding": "gzip;q=0"})
    assert gzip.decompress(zipped.data) == plain.data == refused.data == read_tag().plain
    for answer in (plain, zipped):
        assert answer.content_type == "text/javascript; charset=utf-8"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    known = side.call("GET", "/tag.js", None, headers={"If-None-Match": plain.headers["ETag"]})
    assert (known.status_code, known.data) == (304, b"")

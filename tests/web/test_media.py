"""Uploading pictures, checking them by content, and serving them."""

import random
from typing import Any

import pytest

from tests.web.flask_side import Side
from tests.web.pictures import jpeg, png, webp
from web.pictures import NotAPicture, Picture, recognise

PICTURE = "/admin/slots/home/banners/b1/picture"
WHOLE = {"png": png(), "jpg": jpeg(), "webp": webp()}
TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


@pytest.mark.parametrize("data", [*WHOLE.values(), webp(kind=b"VP8 "), webp(kind=b"VP8X")])
def test_a_whole_picture_says_its_size(data: bytes) -> None:
    picture = recognise(data)
    assert (picture.width, picture.height) == (3, 2)


@pytest.mark.parametrize("format_name", ["png", "jpg", "webp"])
def test_no_part_of_a_picture_is_a_picture(format_name: str) -> None:
    data = WHOLE[format_name]
    for length in range(len(data)):
        with pytest.raises(NotAPicture):
            recognise(data[:length])


def test_damaged_pictures_are_refused_or_read_but_never_crash() -> None:
    rng = random.Random(7)
    for _ in range(3000):
        data = bytearray(rng.choice([*WHOLE.values()]))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            assert isinstance(recognise(bytes(data)), Picture)
        except NotAPicture as error:
            assert str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + bytes(40),
        png() + b"<script>",
        png().replace(b"IDAT", b"JUNK"),
        png(width=20_000),
        jpeg(width=0),
        webp() + b"more",
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        recognise(data)


@pytest.mark.parametrize("format_name", ["png", "jpg", "webp"])
def test_an_uploaded_picture_is_served_for_ever(side: Side, format_name: str) -> None:
    data = WHOLE[format_name]
    answer = side.call("PUT", PICTURE, data=data, content_type=TYPES[format_name])
    assert answer.status_code == 200, answer.text
    banner = answer.json
    assert (banner["width"], banner["height"]) == (3, 2)
    assert banner["image_url"].startswith("/media/shop/") and banner["image_url"].endswith(f".{format_name}")
    served = side.call("GET", banner["image_url"], None)
    assert (served.status_code, served.data, served.mimetype) == (200, data, TYPES[format_name])
    assert "immutable" in served.headers["Cache-Control"] and "max-age=31536000" in served.headers["Cache-Control"]
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    again = side.call("GET", banner["image_url"], None, headers={"If-None-Match": served.headers["ETag"]})
    assert again.status_code == 304


def test_the_banner_is_answered_with_the_absolute_address_of_its_picture(side: Side) -> None:
    for banner in ("b1", "b2", "b3"):
        path = f"/admin/slots/home/banners/{banner}/picture"
        side.call("PUT", path, data=png(), content_type="image/png")
    side.installation.refresh()
    shown = side.get("/banner?slot=home", "server")
    assert shown["image_url"].startswith("http://localhost/media/shop/")
    assert (shown["width"], shown["height"]) == (3, 2)


def test_a_picture_that_is_not_what_it_says_is_refused(side: Side) -> None:
    side.refused(400, "body", "PUT", PICTURE, data=b"<svg/>", content_type="image/png")
    side.refused(400, "Content-Type", "PUT", PICTURE, data=png(), content_type="image/jpeg")
    side.refused(415, "Content-Type", "PUT", PICTURE, data=b"<svg/>", content_type="image/svg+xml")
    side.refused(415, "Content-Type", "PUT", PICTURE, data=png())
    assert not (side.installation.directory / "media").exists()


def test_a_large_picture_is_refused_with_the_limit(side: Side) -> None:
    too_large = png() + bytes(1 << 20)
    assert "1048576" in side.refused(413, None, "PUT", PICTURE, data=too_large, content_type="image/png")
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    how: dict[str, Any] = {"data": too_large, "content_type": "image/png", "environ_overrides": chunked}
    side.refused(413, None, "PUT", PICTURE, **how)


def test_an_upload_for_an_absent_banner_leaves_nothing(side: Side) -> None:
    path = "/admin/slots/home/banners/absent/picture"
    side.refused(404, "banner", "PUT", path, data=png(), content_type="image/png")
    assert not (side.installation.directory / "media").exists()


@pytest.mark.parametrize(
    "name",
    ["a.png", "..%2F..%2Fbanner.db", "%2e%2e", ".hidden.png", "a.html", "a.png%00", "a.png%0A", "A" * 300 + ".png"],
)
def test_nothing_but_pictures_is_served(side: Side, name: str) -> None:
    (side.installation.directory / "media" / "shop").mkdir(parents=True)
    (side.installation.directory / "media" / "shop" / ".hidden.png").write_bytes(png())
    (side.installation.directory / "media" / "shop" / "a.html").write_text("<p>")
    assert side.call("GET", f"/media/shop/{name}", None).status_code == 404


def test_an_svg_of_our_own_cannot_run_scripts(side: Side) -> None:
    directory = side.installation.directory / "media" / "shop"
    directory.mkdir(parents=True)
    (directory / "demo-1.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    answer = side.call("GET", "/media/shop/demo-1.svg", None)
    assert answer.mimetype == "image/svg+xml"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")

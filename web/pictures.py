"""What a picture's bytes say about it. Only the structure is read; nothing is decoded."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

MAX_SIDE = 16_384
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Segments that tell the size; the three left out hold tables."""


class NotAPicture(ValueError):
    """Bytes that are not a whole PNG, JPEG or WebP picture; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A format (png, jpg, webp) and a size in pixels."""

    format: str
    width: int
    height: int


def recognise(data: bytes) -> Picture:
    """What picture this is. Raises NotAPicture."""
    read = _reader(data)
    try:
        picture = read(data)
    except (struct.error, IndexError):
        raise NotAPicture("the picture is cut off") from None
    if not (0 < picture.width <= MAX_SIDE and 0 < picture.height <= MAX_SIDE):
        raise NotAPicture(f"a picture must be 1 to {MAX_SIDE} pixels wide and high")
    return picture


def _reader(data: bytes) -> Callable[[bytes], Picture]:
    if data.startswith(_PNG):
        return _png
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp
    raise NotAPicture("the body must be a PNG, JPEG or WebP picture")


def _png(data: bytes) -> Picture:
    """Walks all chunks: the header first, some pixels, and the end mark at the very end."""
    at, names = len(_PNG), []
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(data[at + 4 : at + 8 + length]) != checksum:
            raise NotAPicture("a part of the PNG is damaged")
        names.append(name)
        at += 12 + length
    if names[0] != b"IHDR" or b"IDAT" not in names or names[-1] != b"IEND" or names.count(b"IEND") > 1:
        raise NotAPicture("the PNG must hold one whole picture and nothing after it")
    width, height = struct.unpack_from(">II", data, len(_PNG) + 8)
    return Picture("png", width, height)


def _jpeg(data: bytes) -> Picture:
    """Walks the segments up to the pixels, which must end with the end mark."""
    at, size = 2, None
    while True:
        mark, kind, length = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF:
            raise NotAPicture("the JPEG's segments are damaged")
        if kind in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = Picture("jpg", width, height)
        at += 2 + length
        if kind == 0xDA:
            break
    if size is None or data.find(b"\xff\xd9", at) < 0:
        raise NotAPicture("the JPEG is not whole")
    return size


def _webp(data: bytes) -> Picture:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 != len(data):
        raise NotAPicture("the WebP is cut off, or something follows it")
    kind = data[12:16]
    if kind == b"VP8X":
        return Picture("webp", _24_bits(data, 24) + 1, _24_bits(data, 27) + 1)
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return Picture("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return Picture("webp", width & 0x3FFF, height & 0x3FFF)
    raise NotAPicture("the WebP's first part is none that a picture begins with")


def _24_bits(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16

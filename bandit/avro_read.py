"""Values of Avro's binary encoding, read where they start: what they are, and where they end.

A slice beyond the end is short without an error; its end is then beyond the end too, which the caller has to look at.
"""


def long_at(b: bytes, at: int) -> tuple[int, int]:
    """The number that starts here, and where it ends. LookupError where there is none of at most 64 bits."""
    byte = b[at]
    number, shift = byte & 127, 7
    while byte > 127:
        at += 1
        byte = b[at]
        number |= (byte & 127) << shift
        shift += 7
    if number >> 64:
        raise LookupError("more than 64 bits: left to the general decoder")
    return (number >> 1) ^ -(number & 1), at + 1


def text_at(b: bytes, at: int) -> tuple[str, int]:
    """A text of less than 64 bytes. LookupError for a longer one."""
    return b[at + 1 : (end := at + 1 + _SHORT[b[at]])].decode(), end


def optional_text_at(b: bytes, at: int) -> tuple[str | None, int]:
    """The same or null."""
    return text_at(b, at + 1) if _IS_PRESENT[b[at]] else (None, at + 1)


def optional_long_text_at(b: bytes, at: int) -> tuple[str | None, int]:
    """A text of any length, or null."""
    if not _IS_PRESENT[b[at]]:
        return None, at + 1
    length, start = long_at(b, at + 1)
    if length < 0:
        raise LookupError("left to the general decoder")
    return b[start : start + length].decode(), start + length


def optional_bytes_at(b: bytes, at: int) -> tuple[bytes | None, int]:
    """Less than 64 bytes, or null."""
    if not _IS_PRESENT[b[at]]:
        return None, at + 1
    end = at + 2 + _SHORT[b[at + 1]]
    return b[at + 2 : end], end


_IS_PRESENT = {0: False, 2: True}
_SHORT = {2 * length: length for length in range(64)}
"""Lengths that take one byte."""

"""A decision as JSON. It is written once a request, so what all impressions of a choice share is kept ready."""

import orjson

from serving.cells import Choice
from serving.decide import Decision

MAX_BASES = 8
"""Hosts under which one choice is kept rendered; whoever invents more pays for it themselves."""


def render(decision: Decision, base: str) -> bytes:
    """The answer as JSON. All but the last four fields are the same for every impression of a choice."""
    choice, token, recorded, served_at = decision
    parts = choice.rendered.get(base)
    if parts is None:
        if len(choice.rendered) >= MAX_BASES:
            choice.rendered.clear()
        parts = choice.rendered[base] = _known_parts(choice, base)
    known, click_url = parts
    return b'%b,%b%b","token":"%b","recorded":%b,"served_at":"%b"}' % (
        known,
        click_url,
        token,
        token,
        b"true" if recorded else b"false",
        served_at.encode(),
    )


def _known_parts(choice: Choice, base: str) -> tuple[bytes, bytes]:
    banner, slot = choice.banner, choice.slot
    known = {
        "banner": banner.id,
        "slot": slot.id,
        "city": choice.city,
        "image_url": absolute(banner.image_url, base),
        "landing_url": banner.landing_url,
        "alt": banner.alt,
        "width": banner.width or slot.width,
        "height": banner.height or slot.height,
        "propensity": choice.propensity,
        "policy": choice.policy,
        "reason": choice.reason,
    }
    # Cut off what closes the object and the text; the answer goes on there.
    return orjson.dumps(known)[:-1], orjson.dumps({"click_url": base + "/go/"})[1:-2]


def absolute(url: str, base: str) -> str:
    """A picture of our own store is kept without host."""
    return base + url if url.startswith("/") else url

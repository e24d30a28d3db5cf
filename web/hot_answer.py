"""Decisions as JSON. It is written once a request, so what all answers with a banner share is kept ready."""

from collections.abc import Iterable

import orjson

from bandit.model import Banner
from serving.cells import SlotKnowledge
from serving.decide import Decision
from web.errors import ApiError


def render(decision: Decision, base: bytes, opening: bytes = b"{") -> bytes:
    """The answer as JSON. `base` is the address of this service, as it may stand inside a JSON text."""
    choice, token, recorded, served_at = decision
    cell, banner, way, propensity, _ = choice
    head, tail = cell.knowledge.rendered.get(banner.id) or _known_parts(cell.knowledge, banner)
    return b"".join(
        (
            opening,
            head,
            base if head else b"",
            tail,
            b',"city":"',
            cell.written.city,
            b'",',
            way.answer,
            b',"propensity":',
            repr(propensity).encode(),
            b',"click_url":"',
            base,
            b"/go/",
            token,
            b'","token":"',
            token,
            b'","recorded":true,"served_at":"' if recorded else b'","recorded":false,"served_at":"',
            served_at.encode(),
            b'"}',
        )
    )


def render_page(results: Iterable[Decision | ApiError | None], base: bytes) -> bytes:
    """The answer for a page: what each slot alone would have been answered, with its status."""
    return b'{"results":[%b]}' % b",".join([_one_of_page(result, base) for result in results])


def _one_of_page(result: Decision | ApiError | None, base: bytes) -> bytes:
    if result is None:
        return b'{"status":204}'
    if isinstance(result, ApiError):
        return orjson.dumps({"status": result.status, **result.body()})
    return render(result, base, b'{"status":200,')


def _known_parts(knowledge: SlotKnowledge, banner: Banner) -> tuple[bytes, bytes]:
    """What is the same for every answer with a banner, cut where `base` goes: first if not at all.

    Kept without `base`, which is whatever a stranger sends as Host.
    """
    slot = knowledge.slot
    place = {"banner": banner.id, "slot": slot.id}
    rest = {
        "landing_url": banner.landing_url,
        "alt": banner.alt,
        "width": banner.width or slot.width,
        "height": banner.height or slot.height,
    }
    before = orjson.dumps(place)[1:-1] + b',"image_url":"'
    after = orjson.dumps(banner.image_url)[1:] + b"," + orjson.dumps(rest)[1:-1]
    # A picture of our own store is kept without host.
    parts = (before, after) if banner.image_url.startswith("/") else (b"", before + after)
    knowledge.rendered[banner.id] = parts
    return parts

"""Our own events as a log of decisions for bandit.evaluation."""

from collections.abc import Iterable

import numpy as np

from bandit.evaluation import Log
from bandit.event import BannerEvent
from bandit.model import Kind, Trial, Verdict


def decisions(events: Iterable[BannerEvent], trial: Trial) -> Log:
    """The accepted impressions for which a banner was drawn and shown, in their order; the reward is 1 for a click.

    The context is the city. Where views are trials, only impressions that were seen count. What was pinned, a default
    or in shadow was not drawn. Raises ValueError where nothing is left.
    """
    drawn: list[BannerEvent] = []
    clicked, seen = set(), set()
    for event in events:
        if event.verdict != Verdict.ACCEPTED:
            continue
        if event.kind != Kind.SERVED:
            seen.add(event.impression_id)
            if event.kind == Kind.CLICKED:
                clicked.add(event.impression_id)
        elif _is_draw(event):
            drawn.append(event)
    kept = [event for event in drawn if trial is Trial.SERVED or event.impression_id in seen]
    if not kept:
        raise ValueError("there is no accepted impression for which a banner was drawn")
    return _log(kept, clicked)


def _is_draw(event: BannerEvent) -> bool:
    """The holdout may draw a banner that the learned choice cannot, by a ceiling of 0; it competes with nothing."""
    return (
        event.eligible is not None
        and event.would_be_banner is None
        and event.propensity > 0
        and event.banner in event.eligible.split()
    )


def _log(events: list[BannerEvent], clicked: set[bytes]) -> Log:
    sets = {event.eligible or "" for event in events}
    banners = tuple(sorted({banner for each in sets for banner in each.split()}))
    contexts = tuple(sorted({event.city for event in events}))
    situations = sorted({(event.city, event.eligible or "") for event in events})
    number = {situation: index for index, situation in enumerate(situations)}
    column = {banner: index for index, banner in enumerate(banners)}
    return Log(
        banners,
        contexts,
        np.array([number[event.city, event.eligible or ""] for event in events], dtype=np.intp),
        np.array([column[event.banner] for event in events], dtype=np.intp),
        np.array([event.impression_id in clicked for event in events], dtype=np.float64),
        np.array([event.propensity for event in events]),
        np.array([contexts.index(city) for city, _ in situations], dtype=np.intp),
        np.array([[banner in each.split() for banner in banners] for _, each in situations], dtype=np.bool_),
    )

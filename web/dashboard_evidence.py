"""What a process has learned of a slot, as the dashboard draws it: its cities, and how sure each click rate is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flask import request
from markupsafe import Markup, escape

from bandit.city import recognise
from bandit.eligibility import Visit
from bandit.model import OTHER, UNKNOWN, Banner, Slot, Tenant
from serving.slot_view import SlotView
from web import dashboard_formats as show
from web.context import context
from web.dashboard_charts import Series, curves, heat_map, round_ticks
from web.errors import ApiError

MOST_CITIES, MOST_BANNERS = 25, 10
"""Drawn at once; the tables have all."""
STEPS = 120
"""Points of a curve."""
CITY_NAMES = {OTHER: "other places", UNKNOWN: "no city"}


def view_of(tenant: Tenant, slot: Slot) -> SlotView:
    """The slot as this process knows it. Raises ApiError where it has not heard of it yet."""
    view = context().insight.snapshot.view(tenant.id, slot.id)
    if view is None:
        raise ApiError(404, "not_yet", f"{slot.id} was just made; this process will know it in a few seconds", "slot")
    return view


def explained(tenant: Tenant, slot: Slot, city: str) -> dict[str, Any]:
    """How a visitor in the city, an id, would be shown a banner now: on the slot's first platform, of no segment."""
    view = view_of(tenant, slot)
    if city not in view.evidence.cities:  # it was removed after a token had named it
        city = recognise(city, view.known_cities)
    return context().insight.explainer.explain_visit(view, Visit(city, view.slot.platforms[0], None))


def cities_by_trials(view: SlotView) -> list[str]:
    """Most evidence first; of cities without any, in the tenant's order."""
    evidence = view.evidence
    return sorted(evidence.cities, key=lambda city: -evidence.city_trials[evidence.cities[city]])


def city_of_page(view: SlotView) -> str:
    """`?city=`, else the one with most evidence."""
    city = request.args.get("city") or cities_by_trials(view)[0]
    if city not in view.evidence.cities:
        raise ApiError(404, "unknown", f"there is no city {city[:50]}", "city")
    return city


def city_name(city: str) -> str:
    """As people read it."""
    return CITY_NAMES.get(city, city)


def picture(banner: Banner | None) -> str:
    """The banner's picture, small; one that lies elsewhere is not loaded."""
    if banner is None or not banner.image_url:
        return show.NOTHING
    url = escape(banner.image_url)
    if not banner.image_url.startswith("/media/"):
        return Markup(f'<a href="{url}" rel="noreferrer">elsewhere</a>')
    return Markup(f'<img class="picture" src="{url}" alt="{escape(banner.alt)}" loading="lazy">')


def first_banners(view: SlotView) -> list[str]:
    """Those that are drawn: most trials first, then in order of creation."""
    evidence = view.evidence
    order = sorted(evidence.banners, key=lambda banner: -evidence.trials[:, evidence.banners[banner]].sum())
    return order[:MOST_BANNERS]


def rates(view: SlotView) -> Sequence[Mapping[str, Any]]:
    """Every city and banner: own evidence, and the click rate that it and the rest of the slot give."""
    evidence = view.evidence
    rows: list[Mapping[str, Any]] = []
    for city in cities_by_trials(view):
        row = evidence.cities[city]
        means = evidence.posterior.mean(row)
        rows += [
            {
                "city": city,
                "banner": banner,
                "trials": float(evidence.trials[row, column]),
                "clicks": float(evidence.clicks[row, column]),
                "rate": float(means[column]),
            }
            for banner, column in evidence.banners.items()
        ]
    return rows


def heat_map_of(view: SlotView) -> Markup:
    """Cities by banners, as dark as the expected click rate is high."""
    evidence, banners = view.evidence, first_banners(view)
    cities = cities_by_trials(view)[:MOST_CITIES]
    columns = [evidence.banners[banner] for banner in banners]
    means = [evidence.posterior.mean(evidence.cities[city])[columns].tolist() for city in cities]
    cells = [[(value, show.percent(value)) for value in row] for row in means]
    title = f"Expected click rates in {len(cities)} cities of {len(banners)} banners"
    return heat_map([city_name(city) for city in cities], banners, cells, title)


def densities_of(view: SlotView, city: str) -> tuple[list[str], Markup]:
    """The names of the banners that are drawn, and what is known of their click rates in the city."""
    evidence, banners = view.evidence, first_banners(view)
    posterior = evidence.posterior.only([evidence.banners[banner] for banner in banners])
    row = evidence.cities[city]
    mean, deviation = posterior.mean(row), posterior.deviation(row)
    low, high = max((mean - 3 * deviation).min(), 0.0), min((mean + 4 * deviation).max(), 1.0)
    edges = np.linspace(low, high, STEPS + 1)
    rates = (edges[1:] + edges[:-1]) / 2
    spread = posterior.spread(row, rates)
    series = [Series(name, spread[:, at].tolist()) for at, name in enumerate(banners)]
    ticks = [(tick, f"{100 * tick:.6g} %") for tick in round_ticks(low, high)]
    title = f"Click rates in {city_name(city)}: the higher, the likelier"
    return banners, curves(rates.tolist(), series, ticks, title)

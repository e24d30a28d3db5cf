"""Make the demo tenant, unless it is there, and say how to use it.

    python -m commands.demo

It has two slots of ten banners each, six Indian cities, a holdout of 10 %, one slot seeded from history, and keys that
are kept in demo.json in the data directory, so that they can be printed again. Whoever changed the tenant since keeps
the changes; only links to the demo's own shop are set again, to where the service answers by now. Safe to run again,
also after an interruption and while the service runs.

Exit codes: 0 done, 1 the store cannot be used, 2 the settings are wrong.
"""

import argparse
import hashlib
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bandit.model import Banner, Role, Slot
from commands.demo_catalogue import HOLDOUT_SHARE, OFFERS, SEEDED_SLOT, SLOTS, TENANT, Offer
from commands.demo_history import SEED_ID, history_seeds
from commands.demo_keys import Keys, ensure_keys
from commands.demo_pictures import draw
from commands.demo_world import read_log, true_rates, world
from settings import Settings, SettingsError, load
from storage.base import Conflict, MissingPackage, SchemaVersionError, Store, StoreUnavailable
from storage.opening import open_store

CANNOT_DO = 1
SETTINGS_ARE_WRONG = 2


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m commands.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    try:
        return _make(load(environ))
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return SETTINGS_ARE_WRONG
    except (Conflict, StoreUnavailable, SchemaVersionError, MissingPackage, OSError) as error:
        print(f"the demo tenant cannot be made: {error}", file=sys.stderr)
        return CANNOT_DO


def _make(settings: Settings) -> int:
    paths = settings.paths
    paths.make()
    store = open_store(settings)
    try:
        url = settings.server.public_url.rstrip("/") or service_url(settings)
        made = ensure_tenant(store, paths.media / TENANT.id, url)
        keys = ensure_keys(store, paths.demo, datetime.now(UTC))
    finally:
        store.close()
    print(summary(service_url(settings), keys, paths.demo, made=made))
    return 0


def ensure_tenant(store: Store, media: Path, url: str) -> bool:
    """Make the tenant with everything in it; False when there is one of this name already, whose banners then lead
    to `url`. Raises Conflict.

    `url` is where browsers reach the service, whose /demo is the shop that the banners lead to.

    The tenant itself comes last: as long as it is not there nobody sees the rest, and whoever comes after an
    interruption does all of it again.
    """
    if TENANT.id in store.configuration().tenants:
        _lead_to(store, url)
        return False
    for slot in SLOTS:
        store.put_slot(TENANT.id, slot)
        for offer in OFFERS[slot.id]:
            store.put_banner(TENANT.id, _banner(slot, offer, media, url))
    store.put_seeds(TENANT.id, SEEDED_SLOT, SEED_ID, history_seeds(world(true_rates(read_log()))))
    store.put_tenant(TENANT.id, TENANT)
    return True


def _lead_to(store: Store, url: str) -> None:
    """Set the landing URLs that are pages of the demo's shop still: the service may answer elsewhere than before."""
    for slot in SLOTS:
        for offer in OFFERS[slot.id]:
            now, page = store.configuration(), _page(offer.id)  # read anew: each put makes a new version
            banner = now.banners.get((TENANT.id, slot.id), {}).get(offer.id)
            if banner is not None and banner.landing_url.endswith(page) and banner.landing_url != url + page:
                store.put_banner(TENANT.id, replace(banner, landing_url=url + page), expected_version=now.version)


def _page(offer: str) -> str:
    """Where the demo's shop shows the offer."""
    return f"/demo/offers/{offer}"


def _banner(slot: Slot, offer: Offer, media: Path, url: str) -> Banner:
    assert slot.width is not None and slot.height is not None
    return Banner(
        slot.id,
        offer.id,
        image_url=f"/media/{TENANT.id}/{_keep_picture(draw(offer, slot.width, slot.height), media)}",
        landing_url=url + _page(offer.id),
        alt=f"{offer.headline}: {offer.detail}",
        width=slot.width,
        height=slot.height,
    )


def _keep_picture(svg: str, media: Path) -> str:
    """Its file name, which comes from its content: a name never means another picture."""
    data = svg.encode()
    name = f"{hashlib.sha256(data).hexdigest()[:32]}.svg"
    media.mkdir(parents=True, exist_ok=True)
    draft = media / f".{secrets.token_hex(8)}"
    draft.write_bytes(data)
    draft.replace(media / name)
    return name


def service_url(settings: Settings) -> str:
    """Where the service answers on this machine, once it runs."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)
    return f"http://[{host}]:{settings.server.port}" if ":" in host else f"http://{host}:{settings.server.port}"


def summary(url: str, keys: Keys, keys_path: Path, *, made: bool) -> str:
    """What to know and what to paste."""
    slot, city = SLOTS[0].id, next(iter(TENANT.cities))
    key_lines = "\n".join(f"  {role:9} {text}" for role, text in keys.items())
    return f"""
The demo tenant {"is made" if made else "is there"}: {len(SLOTS)} slots of {len(OFFERS[slot])} banners, \
{len(TENANT.cities)} cities, {HOLDOUT_SHARE:.0%} holdout, seeds from history in {SEEDED_SLOT}.

  shop      {url}/demo
  dashboard {url}/dashboard (sign in with the admin key)
  API       {url}/docs
  state     {url}/readyz
  metrics   {url}/metrics

Keys (kept in {keys_path}):
{key_lines}

Once it serves, in another terminal: a banner for a visitor in {city.title()}

  curl -s -H 'Authorization: Bearer {keys[Role.SERVER]}' '{url}/banner?slot={slot}&city={city}'

has raised the trials of the slot by one in this report, seconds later:

  curl -s -H 'Authorization: Bearer {keys[Role.READ]}' '{url}/reports/banner?slot={slot}'

and `make demo-traffic` sends 200,000 visitors.
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

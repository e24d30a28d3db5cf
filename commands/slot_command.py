"""What commands about one slot have in common: naming it, opening the store, and saying what is wrong."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bandit.model import Slot, Tenant
from settings import SettingsError, load
from storage.base import MissingPackage, SchemaVersionError, Store, StoreUnavailable
from storage.history import listing
from storage.opening import open_store

STORE_AWAY = 1
WRONG_INPUT = 2


class WrongInput(Exception):
    """What was asked for cannot be done; the message says what would be right."""


class Found(NamedTuple):
    """The slot, and where its counts are."""

    store: Store
    tenant: Tenant
    slot: Slot


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """With --tenant and --slot."""
    made = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--tenant", required=True, help="whose slot it is")
    made.add_argument("--slot", required=True, help="which slot")
    return made


def run(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    act: Callable[[Found, argparse.Namespace], int],
) -> int:
    """The exit code of `act`, or of what came in its way."""
    options = parser.parse_args(arguments)
    try:
        store = open_store(load(environ))
        try:
            return act(_find(store, options.tenant, options.slot), options)
        finally:
            store.close()
    except (WrongInput, SettingsError) as error:
        return _complain(str(error), WRONG_INPUT)
    except (StoreUnavailable, SchemaVersionError, MissingPackage, OSError) as error:
        return _complain(f"cannot be done: {error}", STORE_AWAY)


def _find(store: Store, tenant_id: str, slot_id: str) -> Found:
    configuration = store.configuration()
    tenant = configuration.tenants.get(tenant_id)
    if tenant is None:
        raise WrongInput(f"--tenant: there is no tenant {tenant_id!r}")
    slot = configuration.slots.get((tenant_id, slot_id))
    if slot is None:
        there = listing([name for owner, name in configuration.slots if owner == tenant_id])
        raise WrongInput(f"--slot: tenant {tenant_id} has no slot {slot_id!r}; it has {there}")
    return Found(store, tenant, slot)


def _complain(text: str, exit_code: int) -> int:
    print(text, file=sys.stderr)
    return exit_code

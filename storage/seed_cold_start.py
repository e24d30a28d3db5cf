"""Seed a slot from history, so that it does not start from nothing.

    python -m storage.seed_cold_start history.csv --tenant T --slot S [--dry-run]

The history is CSV (UTF-8, with a header) or Parquet. A row is one impression, with 0 or 1 in the click column; or,
with --impressions-column, counts of both. From it a regression expects a click rate for every banner of the slot in
every city of the tenant, also where there is no history, and each pair gets seeds: --weight trials for an impression of
its history, at most --max-strength (see bandit/cold_start.py). Seeds are written all or none, and nothing is written
when there is anything to complain of. The same seed id again replaces what it wrote before.

Exit codes: 0 done, 1 the store cannot be used, 2 wrong input.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from bandit.cold_start import HIGHEST_STRENGTH, HISTORY_WEIGHT, MAX_STRENGTH, expected_ctr, seeds
from bandit.model import ID_PATTERN, Banner, Seed, Tenant
from settings import SettingsError, load
from storage.base import MissingPackage, SchemaVersionError, Store, StoreUnavailable
from storage.history import Layout, listing, read
from storage.history_file import BadHistory
from storage.opening import open_store
from storage.progress_bar import ProgressBar
from storage.seed_changes import changes, summary, table, write_csv

DONE = 0
STORE_AWAY = 1
WRONG_INPUT = 2


class WrongInput(Exception):
    """What was asked for cannot be done; the message says what would be right."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do as the arguments say; the exit code."""
    options = _options(arguments)
    try:
        _act(options, environ)
    except (StoreUnavailable, SchemaVersionError, MissingPackage) as error:
        return _complain(f"The store cannot be used: {error}", STORE_AWAY)
    except BadHistory as error:
        return _complain(f"{options.history}: nothing was written, because of\n{error}", WRONG_INPUT)
    except OSError as error:
        return _complain(f"{error.filename or options.history}: {error.strerror or error}", WRONG_INPUT)
    except (WrongInput, SettingsError) as error:
        return _complain(str(error), WRONG_INPUT)
    return DONE


def _complain(text: str, exit_code: int) -> int:
    print(text, file=sys.stderr)
    return exit_code


def _act(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    store = _open_store(environ)
    try:
        if options.remove is None:
            _seed(store, options)
        else:
            _remove(store, options)
    finally:
        store.close()


def _open_store(environ: Mapping[str, str]) -> Store:
    return open_store(load(environ))


# -- options ---------------------------------------------------------------------------------------------------------


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.history is None) == (options.remove is None):
        parser.error("either a history or --remove ID is needed")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m storage.seed_cold_start",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("history", nargs="?", type=Path, help="file, CSV or Parquet")
    add("--tenant", required=True, help="whose slot it is")
    add("--slot", required=True, help="which slot to seed")
    add("--banner-column", default="banner", metavar="NAME", help="column of banner ids (default: banner)")
    add("--city-column", default="city", metavar="NAME", help="column of city names, as people write (default: city)")
    add("--click-column", default="click", metavar="NAME", help="column of clicks (default: click)")
    add("--impressions-column", metavar="NAME", help="column of impressions; without it each row is one")
    add(
        "--filter", action="append", default=[], type=_filter, metavar="COLUMN=VALUE", help="only such rows; repeatable"
    )
    add("--weight", default=HISTORY_WEIGHT, type=_number(1),
        help=f"trials for an impression of history (default: {HISTORY_WEIGHT})")  # fmt: skip
    add("--max-strength", default=MAX_STRENGTH, type=_number(HIGHEST_STRENGTH), metavar="TRIALS",
        help=f"most trials of one banner in one city (default: {MAX_STRENGTH:g})")  # fmt: skip
    add("--seed-id", type=_id, metavar="ID", help="name of this evidence (default: from the file and its columns)")
    add("--table", type=Path, metavar="FILE", help="also write all changes to this file, as CSV")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--dry-run", action="store_true", help="only show what would change")
    either.add_argument("--remove", type=_id, metavar="ID", help="take back the seeds of this id")
    return parser


def _filter(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not (column.strip() and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=VALUE, such as position=1")
    return column.strip(), value.strip()


def _number(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, up to {most:g}")
        return value

    return number


def _id(text: str) -> str:
    if not re.fullmatch(ID_PATTERN, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id: letters, digits, '_', '.' and '-', at most 32")
    return text


# -- acts ------------------------------------------------------------------------------------------------------------


def _remove(store: Store, options: argparse.Namespace) -> None:
    _find(store, options)
    removed = store.delete_seeds(options.tenant, options.slot, options.remove)
    if not removed:
        there = sorted({seed.seed_id for seed in store.seeds(options.tenant, options.slot)})
        raise WrongInput(f"--remove: slot {options.slot} has no seeds {options.remove}; it has {listing(there)}")
    print(f"Removed seeds {options.remove} from slot {options.slot}: {removed:,} pairs.")


def _seed(store: Store, options: argparse.Namespace) -> None:
    tenant, banners = _find(store, options)
    if not banners:
        raise WrongInput(f"--slot: slot {options.slot} has no banners yet; seeds are for banners it has")
    layout = _layout(options)
    with ProgressBar(sys.stderr, options.history) as bar:
        history = read(options.history, layout, banners, tenant.cities, bar.show)
    pairs = expected_ctr(history.pairs, list(banners), list(tenant.cities))
    seed_id = options.seed_id or _derived_id(options.history, layout)
    wanted = seeds(pairs, seed_id, options.weight, options.max_strength)
    print(summary(options.history, history, pairs))
    _write(store, options, seed_id, wanted)


def _find(store: Store, options: argparse.Namespace) -> tuple[Tenant, Mapping[str, Banner]]:
    configuration = store.configuration()
    tenant = configuration.tenants.get(options.tenant)
    if tenant is None:
        raise WrongInput(f"--tenant: there is no tenant {options.tenant!r}")
    if (tenant.id, options.slot) not in configuration.slots:
        there = listing([slot for owner, slot in configuration.slots if owner == tenant.id])
        raise WrongInput(f"--slot: tenant {tenant.id} has no slot {options.slot!r}; it has {there}")
    return tenant, configuration.banners.get((tenant.id, options.slot), {})


def _layout(options: argparse.Namespace) -> Layout:
    return Layout(
        options.banner_column,
        options.city_column,
        options.click_column,
        options.impressions_column,
        tuple(options.filter),
    )


def _derived_id(path: Path, layout: Layout) -> str:
    """The same for the same history. Weight and strength are no part of it: changing them replaces, not adds."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(astuple(layout)).encode())
    return f"history-{digest.hexdigest()[:16]}"


def _write(store: Store, options: argparse.Namespace, seed_id: str, wanted: Sequence[Seed]) -> None:
    existing = store.seeds(options.tenant, options.slot)
    changed = changes([seed for seed in existing if seed.seed_id == seed_id], wanted)
    others = sorted({seed.seed_id for seed in existing} - {seed_id})
    if changed:
        print(f"\n{table(changed)}\n")
    if options.table:
        write_csv(options.table, changed)
    print(f"Seeds {seed_id}: {len(changed):,} of {len(wanted):,} pairs change. Other seeds here: {listing(others)}.")
    if options.dry_run:
        print("Dry run: nothing was written.")
    elif changed:
        store.put_seeds(options.tenant, options.slot, seed_id, wanted)
        print("Written.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

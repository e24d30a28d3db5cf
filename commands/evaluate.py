"""What would another policy have earned? Estimated from a log of choices and their probabilities.

    python -m commands.evaluate LOG --policy uniform|thompson|fixed:BANNER|like:FILE [--action-column NAME ...]
    python -m commands.evaluate data/banner.db|data/archive --tenant T --slot S --policy ...

LOG is a CSV or Parquet file with a row for each decision: which action was taken, its reward, and the probability it
was taken with. Policies: `uniform` shows all banners alike, `fixed:BANNER` always one, `thompson` is this product's
learner, taught by what the log shows of the time before, and `like:FILE` has the shares of another log with the same
columns. In place of a file, the embedded store is a log too (raw events of one slot, as long as they are kept), and so
is the archive of events.

The estimators: replay (only decisions on which the policy agrees), IPS (all, weighted), SNIPS (the same, normalised)
and DR (with a reward model, the one to read first). Where a log says too little about the policy nothing is estimated.

Exit codes: 0 done, 1 the log says too little about this policy, 2 wrong input.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bandit import target_policies
from bandit.evaluation import CONFIDENCE, Estimate, Evaluation, Log, PoorOverlap, evaluate
from bandit.event_log import decisions
from bandit.model import Slot
from bandit.posterior import Array
from settings import SettingsError, load
from storage.archive import ArchiveDirectory, ArchiveError
from storage.archive_events import events_of
from storage.base import MissingPackage, Store, StoreUnavailable
from storage.decision_log import Columns, read
from storage.history import listing
from storage.history_file import BadHistory
from storage.opening import open_store
from storage.progress_bar import ProgressBar
from storage.sqlite import SqliteStore

POOR_OVERLAP = 1
WRONG_INPUT = 2
WIDTH = 40
SQLITE_MAGIC = b"SQLite format 3\0"
LAST_DAY = 1 << 31
SEED = 20_250_101
"""The same log always gives the same figures."""
NAMES = {"logged": "the log itself", "replay": "replay", "ips": "IPS", "snips": "SNIPS", "dr": "DR"}


class WrongInput(Exception):
    """What was asked for cannot be done; the message says what would be right."""


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    try:
        log = _read_log(options)
        print("\n".join(_report(options, _evaluated(log, options))))
    except PoorOverlap as error:
        print(f"{options.log} says too little about the policy {options.policy}: {error}.", file=sys.stderr)
        return POOR_OVERLAP
    except OSError as error:
        print(f"{error.filename or options.log}: {error.strerror or error}", file=sys.stderr)
        return WRONG_INPUT
    except (ArchiveError, BadHistory, MissingPackage, SettingsError, StoreUnavailable, WrongInput) as error:
        print(error, file=sys.stderr)
        return WRONG_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m commands.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add, names = parser.add_argument, Columns()
    add("log", type=Path, metavar="LOG", help="file, CSV or Parquet, or data/banner.db, or data/archive")
    add("--policy", required=True, help="uniform, thompson, fixed:BANNER or like:FILE")
    add("--action-column", default=names.action, metavar="NAME", help="what was shown (default: action)")
    add("--reward-column", default=names.reward, metavar="NAME", help="what it earned (default: reward)")
    add("--propensity-column", default=names.propensity, metavar="NAME", help="its probability (default: propensity)")
    add("--context-column", action="append", default=[], metavar="NAME",
        help="what the reward may depend on, such as the city or the place on the page; repeatable")  # fmt: skip
    add("--tenant", help="of a store or archive: whose slot")
    add("--slot", help="of a store or archive: which slot")
    return parser


def _read_log(options: argparse.Namespace) -> Log:
    if options.log.is_dir():
        return _read_archive(options)
    return _read_store(options) if _is_store(options.log) else _read(options.log, options)


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _read_store(options: argparse.Namespace) -> Log:
    store = SqliteStore(options.log)
    try:
        slot = _slot(store, options)
        return decisions(store.events(options.tenant, slot.id, 0, LAST_DAY), slot.trial)
    except ValueError as error:
        raise WrongInput(f"{options.log}: {error}") from error
    finally:
        store.close()


def _read_archive(options: argparse.Namespace) -> Log:
    """What a trial is, the configured store says."""
    ArchiveDirectory(options.log).manifest()
    store = open_store(load(os.environ))
    try:
        slot = _slot(store, options)
        return decisions(events_of(ArchiveDirectory(options.log), options.tenant, slot.id), slot.trial)
    except ValueError as error:
        raise WrongInput(f"{options.log}: {error}") from error
    finally:
        store.close()


def _slot(store: Store, options: argparse.Namespace) -> Slot:
    missing = [f"--{name}" for name in ("tenant", "slot") if getattr(options, name) is None]
    if missing:
        raise WrongInput(f"{' and '.join(missing)} missing: {options.log} is a store or archive, which has many slots")
    slots = store.configuration().slots
    slot = slots.get((options.tenant, options.slot))
    if slot is None:
        there = listing([f"{slot} of {tenant}" for tenant, slot in slots])
        raise WrongInput(
            f"--tenant and --slot: the store has no slot {options.slot} of {options.tenant}; it has {there}"
        )
    return slot


def _read(path: Path, options: argparse.Namespace) -> Log:
    columns = Columns(
        options.action_column, options.reward_column, options.propensity_column, tuple(options.context_column)
    )
    with ProgressBar(sys.stderr, path) as bar:
        try:
            return read(path, columns, bar.show)
        except BadHistory as error:
            raise BadHistory(f"{path}: {error}") from error


def _evaluated(log: Log, options: argparse.Namespace) -> Evaluation:
    rng = np.random.default_rng(SEED)
    if options.policy == "thompson":
        if not np.isin(log.reward, (0.0, 1.0)).all():
            raise WrongInput("--policy: thompson learns from rewards of 0 and 1 only")
        log = log.in_chunks(target_policies.CHUNKS)
        return evaluate(log, target_policies.thompson(log, target_policies.CHUNKS, rng), rng)
    return evaluate(log, _stationary(log, options), rng)


def _stationary(log: Log, options: argparse.Namespace) -> Array:
    name, _, argument = options.policy.partition(":")
    if options.policy == "uniform":
        return target_policies.uniform(log)
    if name == "fixed" and argument in log.banners:
        return target_policies.fixed(log, log.banners.index(argument))
    if name == "fixed":
        raise WrongInput(f"--policy: {argument!r} is nothing the log shows; it has {listing(log.banners)}")
    if name == "like" and argument:
        return _like(log, Path(argument), options)
    raise WrongInput(f"--policy: {options.policy!r} is none of uniform, thompson, fixed:BANNER and like:FILE")


def _like(log: Log, path: Path, options: argparse.Namespace) -> Array:
    try:
        return target_policies.like(log, _read(path, options))
    except ValueError as error:
        raise WrongInput(f"--policy: {path}: {error}") from error


def _report(options: argparse.Namespace, found: Evaluation) -> list[str]:
    highest = max(getattr(found, name).high for name in NAMES if getattr(found, name))
    rows = [_row(NAMES[name], getattr(found, name), highest) for name in NAMES]
    return [
        f"{options.log}: {found.decisions:,} decisions; what would the policy {options.policy} have earned?",
        "",
        f"{'':15}{'mean reward':>12}  {f'{CONFIDENCE:.0%} interval':>20}  {'0':<{WIDTH - 8}}{highest:.3g}".rstrip(),
        *rows,
        "",
        f"The log is worth {found.effective_decisions:,.0f} decisions of this policy (effective sample size); its "
        f"weights average {found.mean_weight:.3f} (1 is right).",
    ]


def _row(name: str, estimate: Estimate | None, highest: float) -> str:
    if estimate is None:
        return f"{name:15}{'-':>12}  {'too few agree':>20}"
    interval = f"{estimate.low:.5f} .. {estimate.high:.5f}"
    return f"{name:15}{estimate.value:12.5f}  {interval:>20}  {_drawn(estimate, highest)}"


def _drawn(estimate: Estimate, highest: float) -> str:
    low, value, high = (round(each / highest * (WIDTH - 1)) if highest > 0 else 0 for each in
                        (estimate.low, estimate.value, estimate.high))  # fmt: skip
    line = ["-" if low <= place <= high else " " for place in range(WIDTH)]
    line[min(max(value, 0), WIDTH - 1)] = "o"
    return "".join(line).rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

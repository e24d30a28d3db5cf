"""Look at dead letters and give them another chance: `python -m storage.dead_letters list | replay`.

Exit codes: 0 done, 1 not (all) done, 2 wrong arguments or settings.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import settings
from bandit.event import decode
from storage.base import Record, Refusal
from storage.journal import Journal, JournalRefused
from storage.refused import dead_letter_files, dead_letters_lock, read_refusals

_LINE = "{:19}  {:8}  {:20}  {:20}  {}"
_TITLES = _LINE.format("received (UTC)", "kind", "tenant", "slot", "reason")


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """The command; returns its exit code."""
    command = _parser().parse_args(arguments).command
    try:
        loaded = settings.load(environ)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return _list(loaded.paths.journal) if command == "list" else _replay(loaded)
    except (OSError, JournalRefused) as error:
        print(f"dead letters: {error}", file=sys.stderr)
        return 1


def replay(directory: Path, journal: Journal) -> int:
    """Journal every dead letter again, with its own journal id and sequence, and remove it; how many there were.

    The journal must sync always, since a file of dead letters is deleted as soon as all it holds is journaled. Stopped
    half-way, the next call journals some again; the sink counts them once. JournalRefused leaves the rest where it is.
    """
    count = 0
    with dead_letters_lock(directory):
        for path in dead_letter_files(directory):
            count += _replay_file(path, journal)
            path.unlink()
    return count


def describe(refusal: Refusal) -> str:
    """One line: when it was received (UTC), what, whose, and why it was refused."""
    try:
        event = decode(refusal.record.payload)
        received = datetime.fromtimestamp(event.received_at // 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):  # no event, or one whose time is none
        line = _LINE.format("?", "?", "?", "?", refusal.reason)
    else:
        when = received.strftime("%Y-%m-%d %H:%M:%S")
        line = _LINE.format(when, event.kind, event.tenant, event.slot, refusal.reason)
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m storage.dead_letters",
        description="Events that the store refused for good. They do not count unless a replay succeeds.",
        epilog="Exit codes: 0 done, 1 not (all) done, 2 wrong arguments or settings.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print one line for each: received (UTC), kind, tenant, slot, reason")
    commands.add_parser("replay", help="hand them all to the drain again; what is refused again comes back")
    return parser


def _list(directory: Path) -> int:
    count = 0
    for path in dead_letter_files(directory):
        for refusal in read_refusals(path):
            if not count:
                print(_TITLES)
            print(describe(refusal))
            count += 1
    print(_count_text(count))
    return 0


def _replay(loaded: settings.Settings) -> int:
    directory = loaded.paths.journal
    if not dead_letter_files(directory):
        print(_count_text(0))
        return 0
    limits = loaded.journal
    journal = Journal.open(
        directory, sync="always", segment_bytes=limits.segment_mib << 20, max_bytes=limits.max_mib << 20
    )
    try:
        count = replay(directory, journal)
    finally:
        journal.close()
    print(f"{_count_text(count)} handed to the drain")
    return 0


def _replay_file(path: Path, journal: Journal) -> int:
    count = 0
    for refusal in read_refusals(path):
        _append(journal, refusal.record)
        count += 1
    return count


def _append(journal: Journal, record: Record) -> None:
    journal.append(record.shard, lambda _sequence: record.payload)


def _count_text(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count or 'no'} dead letters"


if __name__ == "__main__":
    sys.exit(main())

"""Send simulated visitors to the running service, as the demo's storefront, and watch it learn.

    python -m commands.demo_traffic [--url http://127.0.0.1:8000] [--impressions 200000] [--seed 1]

Exit codes: 0 done, 1 the service did not answer, 2 wrong arguments, 130 interrupted.
"""

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TextIO
from urllib.parse import urlencode

from bandit.model import Role
from commands.demo import service_url
from commands.demo_board import Board
from commands.demo_catalogue import SLOTS
from commands.demo_client import Client, NoService
from commands.demo_keys import Keys, NoDemoKeys, read_keys
from commands.demo_storefront import Order, work
from commands.demo_world import LEAD, MEAN_CTR, LogRates, read_log, true_rates, world
from settings import SettingsError, load

NO_SERVICE = 1
WRONG_ARGUMENTS = 2
INTERRUPTED = 130

IMPRESSIONS = 200_000
FEWEST = 1_000
PROCESSES = 4
DRAW_SECONDS = 0.5
LINE_SECONDS = 5.0
COUNTED_SECONDS = 30.0
"""How long to wait until the service has counted everything."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    try:
        settings = load(environ)
        options = _options(arguments, service_url(settings))
        _run(options, read_keys(settings.paths.demo))
    except SettingsError as error:
        return _complain(f"the settings are wrong:\n{error}", WRONG_ARGUMENTS)
    except ValueError as error:
        return _complain(f"--url: {error}", WRONG_ARGUMENTS)
    except (NoService, NoDemoKeys, OSError) as error:
        return _complain(str(error), NO_SERVICE)
    except KeyboardInterrupt:
        return _complain("interrupted; what was answered so far counts", INTERRUPTED)
    return 0


def _complain(text: str, exit_code: int) -> int:
    print(text, file=sys.stderr)
    return exit_code


def _options(arguments: Sequence[str], url: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m commands.demo_traffic", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--url", default=url, help="where the service answers (default: %(default)s)")
    parser.add_argument("--impressions", type=_many, default=IMPRESSIONS, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="for other visitors (default: %(default)s)")
    return parser.parse_args(arguments)


def _many(text: str) -> int:
    if not text.isdecimal() or int(text) < FEWEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {FEWEST}")
    return int(text)


def _run(options: argparse.Namespace, keys: Keys) -> None:
    with Client(options.url, keys[Role.READ], patience_seconds=0) as reader:
        before = _counted(reader)
    log = read_log()
    rates = true_rates(log)
    truth = world(rates)
    print(introduction(log, rates))
    board = Board(truth, options.impressions)
    orders = [
        Order(options.url, keys[Role.SERVER], impressions, f"{options.seed}-{number}", truth)
        for number, impressions in enumerate(_parts(options.impressions))
    ]
    _watch(board, orders)
    with Client(options.url, keys[Role.READ]) as reader:
        counted = _wait_until_counted(reader, before + board.seen) - before
        print(_conclusion(board, counted, reader))


def introduction(log: LogRates, rates: Sequence[float]) -> str:
    """Where the click rates come from, to be honest about it."""
    shown = " ".join(f"{rate:.1%}" for rate in rates)
    return f"""
Simulated visitors click the ten banners of a slot at these rates:
  {shown}
spread like those of {log.items} banners in a real log (examples/open_bandit). That log's mean of
{log.mean:.2%} would need hours, so they are scaled to a mean of {MEAN_CTR:.0%}, the best at least {LEAD} times
the second. Which banner has which rate differs by city; the service is not told.
"""


def _parts(impressions: int) -> list[int]:
    """The share of each process."""
    return [impressions // PROCESSES + (number < impressions % PROCESSES) for number in range(PROCESSES)]


# -- the run ---------------------------------------------------------------------------------------------------------


def _watch(board: Board, orders: Sequence[Order]) -> None:
    """Run all orders and show the board; raises NoService when a storefront gave up."""
    started = time.monotonic()
    screen = Screen(sys.stdout, len(board.table(0)))
    with _storefronts(orders) as reports:
        open_reports = list(reports)
        while open_reports:
            for report in wait(open_reports, timeout=DRAW_SECONDS):
                assert isinstance(report, Connection)
                if not _take(report, board):
                    open_reports.remove(report)
            screen.show(board, time.monotonic() - started)
    screen.close(board, time.monotonic() - started)


def _take(report: Connection, board: Board) -> bool:
    """Add what a storefront tells; False when it has finished."""
    try:
        told = report.recv()
    except EOFError:
        raise NoService("a storefront process has ended before its work was done") from None
    if isinstance(told, Counter):
        board.add(told)
        return True
    if told:
        raise NoService(told)
    return False


@contextmanager
def _storefronts(orders: Sequence[Order]) -> Iterator[list[Connection]]:
    """A process for each order and the connections they tell on; none of them outlives the block."""
    context = get_context("spawn")
    started, reports = [], []
    try:
        for order in orders:
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(order, sending), daemon=True)
            process.start()
            sending.close()
            started.append(process)
            reports.append(receiving)
        yield reports
    finally:
        for process in started:
            process.terminate()
            process.join()


class Screen:
    """Draws the table over itself on a terminal that has room for it, else writes a line every few seconds."""

    def __init__(self, output: TextIO, height: int) -> None:
        self._output = output
        self._redraws = output.isatty() and shutil.get_terminal_size().lines > height
        self._pause_seconds = DRAW_SECONDS if self._redraws else LINE_SECONDS
        self._drawn = 0
        """Lines of the table on the screen."""
        self._next_seconds = 0.0

    def show(self, board: Board, seconds: float) -> None:
        """The board after so many seconds, unless that was just done."""
        if seconds < self._next_seconds:
            return
        self._next_seconds = seconds + self._pause_seconds
        if self._redraws:
            self._draw(board.table(seconds))
        elif board.seen:
            print(board.line(seconds), file=self._output, flush=True)

    def close(self, board: Board, seconds: float) -> None:
        """The last table stays."""
        self._draw(board.table(seconds))

    def _draw(self, lines: Sequence[str]) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        clear = "\x1b[2K" if self._redraws else ""
        print(up + "\n".join(clear + line for line in lines), file=self._output, flush=True)
        self._drawn = len(lines)


# -- what the service says -------------------------------------------------------------------------------------------


def _counted(reader: Client) -> int:
    """Impressions in the reports of all slots."""
    return sum(row["served"] for slot in SLOTS for row in _report(reader, "policy", slot.id)["rows"])


def _wait_until_counted(reader: Client, expected: int) -> int:
    """The impressions in the reports, once they are as many as expected or it has taken too long."""
    deadline = time.monotonic() + COUNTED_SECONDS
    while (counted := _counted(reader)) < expected and time.monotonic() < deadline:
        time.sleep(DRAW_SECONDS)
    return counted


def _conclusion(board: Board, counted: int, reader: Client) -> str:
    lifts = "\n".join(lift_line(_report(reader, "lift", slot.id)) for slot in SLOTS)
    return f"""
The service has counted {counted:,} of the {board.seen:,} impressions.
The best banner leads in {board.leading()} of {board.cells} cells (most often chosen in the last quarter of the run).
Lift of the learned choice over the holdout, over the last 30 days:
{lifts}
"""


def lift_line(report: Mapping[str, Any]) -> str:
    """One answer of /reports/lift in words."""
    if report["lift"] is None:
        return f"  {report['slot']:14} not enough traffic to compare"
    learned, holdout = report["learned"], report["holdout"]
    interval = f"{report['confidence']:.0%} interval {report['low']:+.1%} to {report['high']:+.1%}"
    sides = f"CTR {learned['ctr']:.2%} of {learned['trials']:,} against {holdout['ctr']:.2%} of {holdout['trials']:,}"
    return f"  {report['slot']:14} {report['lift']:+.1%} ({interval}); {sides}"


def _report(reader: Client, name: str, slot: str) -> Any:
    return reader.get(f"/reports/{name}?{urlencode({'slot': slot})}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

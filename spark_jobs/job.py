"""What all jobs have in common: settings, a session, one line for what is wrong, and a clean end."""

import argparse
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settings import Settings, SettingsError, load
from spark_jobs.session import INSTALL, SparkOptions, open_session
from storage.archive import ArchiveDirectory, ArchiveError
from storage.archive_tidying import find_damaged
from storage.base import Conflict, MissingPackage, SchemaVersionError, StoreUnavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

DONE, NOT_DONE, BAD_INPUT = 0, 1, 2
STOPPED = 128 + signal.SIGTERM
POLL_SECONDS = 1
BATCH_SECONDS = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
AGAIN_SECONDS = 0.1
NOTHING_IN_PART = "stopped; nothing was written in part"
UNREADABLE = re.compile(
    "readFooter|ParquetDecodingException|is not a Parquet file|error while reading file|column cannot be converted",
    re.IGNORECASE,
)
"""Where Spark says in one way or another that a Parquet file is damaged, or not as its columns should be."""


class BadInput(Exception):
    """What was asked for cannot be; the message says what would be right."""


class Stopped(BaseException):
    """SIGTERM or SIGINT arrived."""


Work = Callable[[argparse.Namespace, Settings, Callable[..., "SparkSession"]], int]


def parser(module: str, documentation: str | None) -> argparse.ArgumentParser:
    """With the module's text as its help."""
    made = argparse.ArgumentParser(prog=f"python -m {module}", description=documentation)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    return made


def run(name: str, given: argparse.Namespace, work: Work, environ: Mapping[str, str] = os.environ) -> int:
    """The exit code: what `work` answers, 1 when something outside is in the way, 2 for wrong input or settings.

    `work` is given a function that makes the session when it is called, so that bad input is said before that.
    """
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    complain, sys.unraisablehook = sys.unraisablehook, stop.complain
    sessions: list[SparkSession] = []
    try:
        settings = load(environ)
        return work(given, settings, _opener(name, settings, sessions, stop))
    except Stopped:
        return _say(NOTHING_IN_PART, STOPPED)
    except Exception as error:
        # Where all processes are told to end at once, Java may be gone before our own turn comes.
        return _say(NOTHING_IN_PART, STOPPED) if stop.asked else _failed(error, given, environ)
    finally:
        # Whoever asks twice waits for the session's end all the same.
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for session in sessions:
            aside(session.stop)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = complain


class _Stop:
    """The handler of signals: raises Stopped in the main thread, and remembers it."""

    asked = False
    waits = False
    """Java that is given up while it starts goes on for ever, so until it has started it is only remembered."""

    def __call__(self, *_: object) -> None:
        self.asked = True
        if not self.waits:
            raise Stopped

    def complain(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """What a destructor raised. One that finds its object broken off half-made says nothing anybody can act on; and
        where the signal came while it was at work, nobody has heard it, so it comes again."""
        if unraisable.exc_type is Stopped:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        elif not self.asked:
            sys.__unraisablehook__(unraisable)


def _opener(
    name: str, settings: Settings, sessions: list["SparkSession"], stop: _Stop
) -> Callable[..., "SparkSession"]:
    def open_one(*, connectors: bool, **options: str) -> "SparkSession":
        given = settings.spark
        chosen = SparkOptions(given.master, given.jars, given.driver_memory, options | given.option_pairs())
        print(f"Spark starts ({given.master}) ...", file=sys.stderr, flush=True)
        stop.waits = True
        try:
            sessions.append(open_session(name, chosen, connectors=connectors))
        finally:
            stop.waits = False
        signal.signal(signal.SIGINT, stop)  # a new session puts a handler of its own in its place
        if stop.asked:
            raise Stopped
        return sessions[0]

    return open_one


def wait(query: "StreamingQuery", look: Callable[[], object] = lambda: None) -> bool:
    """Until it ends or a signal comes; whether it ended by itself. `look` is called every second and when it has ended.
    Raises what it failed with."""
    try:
        while not query.awaitTermination(POLL_SECONDS):
            look()
    except Stopped:
        aside(lambda: end(query))
        aside(look)
        return False
    look()
    return True


def end(query: "StreamingQuery") -> None:
    """After the batch that is being written, if it is written soon; else it will be written again."""
    latest = time.monotonic() + BATCH_SECONDS
    while query.status["isTriggerActive"] and time.monotonic() < latest and not query.awaitTermination(0.1):  # type: ignore[arg-type]
        pass
    query.stop()


def aside(act: Callable[[], object]) -> None:
    """Do it in a thread of its own, which has its own connection to Java: on one that a signal broke off in the middle
    of a question, the next would wait for the answer to that, and take it for its own."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


def _failed(error: Exception, given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    match error:
        case SettingsError():
            return _say(f"the settings are wrong:\n{error}", BAD_INPUT)
        case BadInput() | ArchiveError() | SchemaVersionError():
            return _say(str(error), BAD_INPUT)
        case Conflict() | StoreUnavailable() | MissingPackage() | OSError():
            return _say(f"not done: {error}", NOT_DONE)
        case ModuleNotFoundError(name="pyspark"):
            return _say(f"not done: {INSTALL}", NOT_DONE)
    text = str(error)
    if "pyspark" not in type(error).__module__ and "py4j" not in type(error).__module__:
        raise error  # a fault of ours
    if UNREADABLE.search(text):
        return _say(
            _unreadable(text, Path(getattr(given, "archive", None) or load(environ).archive_directory)), BAD_INPUT
        )
    return _say(f"Spark could not do it: {_reason(text)}", NOT_DONE)


def _reason(text: str) -> str:
    """The innermost of what Spark says."""
    reasons = [line.strip() for line in text.splitlines() if "Caused by:" in line or "Exception" in line]
    return (reasons or text.splitlines() or [text])[-1].removeprefix("Caused by: ")[:500]


def _unreadable(text: str, archive: Path) -> str:
    """Which file it is; Spark does not always say."""
    names = set(re.findall(r"file:\S+?\.parquet", text))
    if not names:
        try:
            find_damaged(ArchiveDirectory(archive))
        except ArchiveError as error:
            return str(error)
    return f"a file of the archive cannot be read: {', '.join(sorted(names))} {_reason(text)}"


def table(rows: Iterable[Sequence[Any]], heading: Sequence[str]) -> str:
    """Columns in line, numbers to the right."""
    cells = [[_cell(one) for one in row] for row in rows]
    widths = [max(len(row[number]) for row in [list(heading), *cells]) for number in range(len(heading))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(heading, widths, strict=True))]
    lines += ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


class Clock:
    """How long the job has taken."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __str__(self) -> str:
        return f"{time.monotonic() - self._started:.0f} s"

"""What all jobs have in common: settings, a session, one line for what is wrong, and a clean end."""

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from settings import Settings, SettingsError, load
from spark_jobs.session import SparkOptions, open_session
from storage.archive import ArchiveError
from storage.base import Conflict, MissingPackage, SchemaVersionError, StoreUnavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DONE, NOT_DONE, BAD_INPUT = 0, 1, 2
STOPPED = 128 + signal.SIGTERM


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
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    sessions: list[SparkSession] = []
    try:
        settings = load(environ)
        return work(given, settings, _opener(name, settings, sessions, stop))
    except SettingsError as error:
        return _say(f"the settings are wrong:\n{error}", BAD_INPUT)
    except (BadInput, ArchiveError) as error:
        return _say(str(error), BAD_INPUT)
    except (Conflict, StoreUnavailable, SchemaVersionError, MissingPackage, OSError) as error:
        return _say(f"not done: {error}", NOT_DONE)
    except Stopped:
        return _say("stopped; nothing was written in part", STOPPED)
    except Exception as error:
        return _of_spark(error)
    finally:
        for session in sessions:
            session.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Stop:
    """The handler of signals: raises Stopped in the main thread, and remembers it."""

    asked = False

    def __call__(self, *_: object) -> None:
        self.asked = True
        raise Stopped

    def check(self) -> None:
        """Python ignores what a handler raises while objects are being cleaned up, as when Java is started."""
        if self.asked:
            raise Stopped


def _opener(
    name: str, settings: Settings, sessions: list["SparkSession"], stop: _Stop
) -> Callable[..., "SparkSession"]:
    def open_one(*, connectors: bool, **options: str) -> "SparkSession":
        given = settings.spark
        chosen = SparkOptions(given.master, given.jars, given.driver_memory, options | given.option_pairs())
        print(f"Spark starts ({given.master}) ...", file=sys.stderr, flush=True)
        sessions.append(open_session(name, chosen, connectors=connectors))
        stop.check()
        return sessions[0]

    return open_one


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


def _of_spark(error: Exception) -> int:
    """A failed job as one line: the innermost reason; anything else is a fault of ours."""
    text = str(error)
    if "pyspark" not in type(error).__module__ and "py4j" not in type(error).__module__:
        raise error
    reasons = [line.strip() for line in text.splitlines() if "Caused by:" in line or "Exception" in line]
    reason = (reasons or text.splitlines() or [text])[-1].removeprefix("Caused by: ")[:500]
    if "readFooter" in text or "ParquetDecodingException" in text or "is not a Parquet file" in text:
        names = re.findall(r"file:\S+?\.parquet", text)
        return _say(f"a file of the archive cannot be read: {', '.join(sorted(set(names)))} {reason}", BAD_INPUT)
    return _say(f"Spark could not do it: {reason}", NOT_DONE)


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

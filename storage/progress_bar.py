"""How much of a large file has been read, for people who wait."""

from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

LARGE_BYTES = 10_000_000
"""Read within a second or two; anything smaller needs no bar."""

WIDTH = 40
STEPS = 10


class ProgressBar:
    """One bar that fills on a terminal, else a line for every tenth; nothing for a small file."""

    def __init__(self, stream: TextIO, path: Path) -> None:
        self._stream = stream
        self._bytes = path.stat().st_size
        self._bar = stream.isatty()
        self._step = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar and self._step:
            self._stream.write("\n")

    def show(self, share: float) -> None:
        """This share of the file, 0 to 1, has been read."""
        steps = WIDTH if self._bar else STEPS
        step = int(share * steps)
        if self._bytes < LARGE_BYTES or step <= self._step:
            return
        self._step = step
        done = f"{share:4.0%} of {self._bytes / 1e6:,.0f} MB read"
        bar = "#" * step + "." * (steps - step)
        self._stream.write(f"\r[{bar}] {done}" if self._bar else f"{done}\n")
        self._stream.flush()

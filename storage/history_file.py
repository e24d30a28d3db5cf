"""Rows of a history file, CSV or Parquet, in chunks of text with the row number each has in the file."""

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

CHUNK_ROWS = 100_000
PARQUET_MAGIC = b"PAR1"

TOO_MANY_FIELDS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
OPEN_QUOTE = re.compile(r"EOF inside string starting at row (\d+)")
"""What the CSV parser says of a row that is no row."""

Progress = Callable[[float], None]
"""Told the share of the file, 0 to 1, that has been read."""


class BadHistory(ValueError):
    """The history cannot be used; the message has a line for each complaint."""


def chunks(path: Path, columns: Sequence[str], progress: Progress) -> Iterator["pd.DataFrame"]:
    """These columns of the file: text without surrounding blanks, "" where there is nothing.

    The index is the row in the file: its header is row 1, or, in Parquet, its first record. Raises BadHistory when the
    file cannot be read as a table or lacks a column, OSError when it cannot be read at all.
    """
    wanted = list(dict.fromkeys(columns))
    with path.open("rb") as file:
        is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    read = _parquet if is_parquet else _csv
    for frame in read(path, wanted, progress):
        yield frame.apply(lambda column: column.str.strip())


def _check_header(header: Sequence[str], wanted: Sequence[str]) -> None:
    found = Counter(header)
    problems = [f"row 1: there is no column {name!r}" for name in wanted if not found[name]]
    problems += [f"row 1: there are {found[name]} columns {name!r}" for name in wanted if found[name] > 1]
    if problems:
        there = ", ".join(repr(name) for name in header)
        raise BadHistory("\n".join([*problems, f"columns of the file: {there}"]))


# -- CSV -------------------------------------------------------------------------------------------------------------


def _csv(path: Path, wanted: Sequence[str], progress: Progress) -> Iterator["pd.DataFrame"]:
    import pandas as pd

    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            for frame in _select(_csv_chunks(file), wanted):
                progress(file.tell() / size)
                yield frame
    except pd.errors.EmptyDataError as error:
        raise BadHistory("row 1: the file is empty, or its first row is; it must name the columns") from error
    except pd.errors.ParserError as error:
        raise BadHistory(_explain(str(error))) from error
    except UnicodeDecodeError as error:
        raise BadHistory(f"line {_undecodable_line(path)}: not UTF-8 text") from error


def _csv_chunks(file: Any) -> Iterator["pd.DataFrame"]:
    """All columns, the header as the first row; text is left as it is, so banner 007 and a city "NA" survive."""
    import pandas as pd

    # The header is read as a row and all columns are kept because only then does the parser refuse a row that is
    # longer than the header; otherwise it shifts such rows or cuts them, without a word.
    frames = pd.read_csv(
        file,
        header=None,
        dtype=str,
        keep_default_na=False,
        skip_blank_lines=False,
        chunksize=CHUNK_ROWS,
        encoding="utf-8-sig",
    )
    for frame in frames:
        frame.index += 1
        yield frame


def _select(frames: Iterator["pd.DataFrame"], wanted: Sequence[str]) -> Iterator["pd.DataFrame"]:
    """Only the wanted columns, named, without the header."""
    first = next(frames)
    header = [name.strip() for name in first.iloc[0]]
    _check_header(header, wanted)
    places = [header.index(name) for name in wanted]
    yield first.iloc[1:, places].set_axis(wanted, axis=1)
    for frame in frames:
        yield frame.iloc[:, places].set_axis(wanted, axis=1)


def _explain(message: str) -> str:
    if match := TOO_MANY_FIELDS.search(message):
        return f"row {match[2]}: {match[3]} fields, but the header has {match[1]}; reading stopped there"
    if match := OPEN_QUOTE.search(message):
        return f"row {int(match[1]) + 1}: a quotation mark is opened and never closed"
    return f"not a CSV file: {message.strip()}"


def _undecodable_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


# -- Parquet ---------------------------------------------------------------------------------------------------------


def _parquet(path: Path, wanted: Sequence[str], progress: Progress) -> Iterator["pd.DataFrame"]:
    arrow, parquet = _pyarrow()
    row = 1
    try:
        with parquet.ParquetFile(path) as file:
            _check_header(file.schema_arrow.names, wanted)
            for batch in file.iter_batches(CHUNK_ROWS, columns=list(wanted)):
                yield _as_text(batch, wanted, row, arrow.string())
                row += batch.num_rows
                progress((row - 1) / file.metadata.num_rows)
    except arrow.ArrowException as error:
        raise BadHistory(f"not a Parquet file of texts and numbers: {error}") from error


def _as_text(batch: Any, wanted: Sequence[str], row: int, text: Any) -> "pd.DataFrame":
    import pandas as pd

    columns = {name: batch.column(name).cast(text).fill_null("").to_pylist() for name in wanted}
    return pd.DataFrame(columns, index=pd.RangeIndex(row, row + batch.num_rows), dtype=str)


def _pyarrow() -> tuple[Any, Any]:
    """Its two modules; not among the requirements, since few need it."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise BadHistory(
            "reading Parquet needs pyarrow; run: .venv/bin/python -m pip install pyarrow (or give the history as CSV)"
        ) from error

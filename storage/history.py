"""A history, checked row by row and summed up by banner and city."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bandit.city import index, recognise
from bandit.model import OTHER
from storage.history_file import BadHistory, Progress, chunks

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SHOWN_COMPLAINTS = 20
SHOWN_NAMES = 20
SHOWN_CHARACTERS = 60

WHOLE_NUMBER = re.compile(r"([0-9]{1,12})(?:\.0*)?")
"""Written by hand or by a program that only knows fractions; twelve digits are more impressions than there are."""
BOOLEANS = {"false": 0, "true": 1}
WRONG = -1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in the file things are."""

    banner: str
    city: str
    clicks: str
    """0 or 1 where a row is one impression, else how many of the row's impressions were clicked."""
    impressions: str | None
    """How many impressions a row stands for; None: each is one."""
    filters: tuple[tuple[str, str], ...] = ()
    """(column, text): only rows that have this text in this column count, and only they are checked."""

    def columns(self) -> list[str]:
        """Every column that is looked at."""
        named = [self.banner, self.city, self.clicks, *([self.impressions] if self.impressions else [])]
        return [*named, *(column for column, _ in self.filters)]


@dataclass(frozen=True, slots=True)
class History:
    """What the file says."""

    pairs: "pd.DataFrame"
    """banner, city, impressions, clicks: one row for each pair it has; whole numbers."""
    rows: int
    unrecognised: Mapping[str, int]
    """City names the tenant has not configured, counted as OTHER -> their impressions."""


def read(
    path: Path,
    layout: Layout,
    banners: Collection[str],
    cities: Mapping[str, Iterable[str]],
    progress: Progress,
) -> History:
    """The history in this file of these banners in these cities (id -> other names).

    Raises BadHistory with all that is wrong, or OSError.
    """
    summing = _Summing(layout, banners, cities)
    try:
        for frame in chunks(path, layout.columns(), progress):
            summing.add(frame)
    except BadHistory as error:
        raise BadHistory("\n".join([*summing.complaints(), str(error)])) from error
    return summing.history()


class _Complaints:
    """Counts all, keeps the first ones by row."""

    def __init__(self) -> None:
        self._first: list[tuple[int, str]] = []
        self.count = 0

    def add(self, texts: "pd.Series[str]", say: Callable[[str], str]) -> None:
        """One for each of these texts, whose index is the row."""
        self.count += len(texts)
        self._first += [(row, say(text)) for row, text in texts.head(SHOWN_COMPLAINTS).items()]
        self._first = sorted(self._first)[:SHOWN_COMPLAINTS]

    def lines(self) -> list[str]:
        more = self.count - len(self._first)
        return [f"row {row}: {text}" for row, text in self._first] + ([f"and {more:,} more"] if more else [])


class _Summing:
    """Takes chunk after chunk; memory grows with the pairs, not with the rows."""

    def __init__(self, layout: Layout, banners: Collection[str], cities: Mapping[str, Iterable[str]]) -> None:
        self._layout = layout
        self._banners = banners
        self._cities = index(cities)
        self._complaints = _Complaints()
        self._unknown_banners: set[str] = set()
        self._unrecognised: Counter[str] = Counter()
        self._rows = 0
        self._pairs: pd.DataFrame | None = None

    def add(self, frame: "pd.DataFrame") -> None:
        rows = self._chosen(frame)
        self._rows += len(rows)
        self._check_banners(rows[self._layout.banner])
        impressions, clicks = self._impressions(rows), self._clicks(rows)
        self._check_excess(rows, impressions, clicks)
        if len(rows) and not self._complaints.count:
            self._sum(rows, impressions, clicks)

    def history(self) -> History:
        """All chunks together; BadHistory when there is any complaint, or nothing to learn from."""
        if self._complaints.count:
            raise BadHistory("\n".join(self.complaints()))
        if self._pairs is None:
            raise BadHistory(self._why_empty())
        if not self._pairs["impressions"].sum():
            raise BadHistory(f"{self._layout.impressions} is 0 in every row; there is nothing to learn from")
        return History(self._pairs, self._rows, self._unrecognised)

    def complaints(self) -> list[str]:
        """Those so far, as lines."""
        known = [f"banners of the slot: {listing(self._banners)}"] if self._unknown_banners else []
        return [*self._complaints.lines(), *known]

    def _chosen(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Without blank lines and what the filters leave out."""
        chosen = (frame != "").any(axis=1)
        for column, text in self._layout.filters:
            chosen &= frame[column] == text
        return frame[chosen]

    def _check_banners(self, names: "pd.Series[str]") -> None:
        """Each unknown banner is complained of once, each missing one in its row."""
        first = names.drop_duplicates()
        unknown = first[~first.isin([*self._banners, *self._unknown_banners, ""])]
        self._unknown_banners.update(unknown)
        self._complaints.add(unknown, lambda name: _is(self._layout.banner, name, "not a banner of the slot"))
        self._complaints.add(names[names == ""], lambda _: f"{self._layout.banner} is empty; a banner's id is right")

    def _impressions(self, rows: "pd.DataFrame") -> "NDArray[Any]":
        import numpy as np

        column = self._layout.impressions
        if column is None:
            return np.ones(len(rows), np.int64)
        return self._numbers(rows[column], "a whole number is right")

    def _clicks(self, rows: "pd.DataFrame") -> "NDArray[Any]":
        column = self._layout.clicks
        if self._layout.impressions is not None:
            return self._numbers(rows[column], "a whole number is right")
        return self._numbers(rows[column], "0 or 1 is right (for counts, say --impressions-column)", most=1)

    def _numbers(self, texts: "pd.Series[str]", right: str, most: int | None = None) -> "NDArray[Any]":
        """The numbers these texts are; WRONG, and a complaint, for what is none."""
        import numpy as np
        import pandas as pd

        codes, different = pd.factorize(texts)
        numbers: NDArray[Any] = np.array([_number(text, most) for text in different], np.int64)[codes]
        self._complaints.add(texts[numbers == WRONG], lambda text: _is(str(texts.name), text, right))
        return numbers

    def _check_excess(self, rows: "pd.DataFrame", impressions: "NDArray[Any]", clicks: "NDArray[Any]") -> None:
        column = self._layout.impressions
        if column is None:
            return
        excess = rows[(clicks > impressions) & (impressions != WRONG)]
        numbers = excess[self._layout.clicks] + f" exceeds {column} " + excess[column]
        self._complaints.add(numbers, lambda text: f"{self._layout.clicks} {text}; no more clicks than that is right")

    def _sum(self, rows: "pd.DataFrame", impressions: "NDArray[Any]", clicks: "NDArray[Any]") -> None:
        import pandas as pd

        names: pd.Series[str] = rows[self._layout.city]
        meant = {name: recognise(name, self._cities) for name in names.unique()}
        columns = {"banner": rows[self._layout.banner], "city": names.map(meant)}
        frame = pd.DataFrame(columns).assign(impressions=impressions, clicks=clicks)
        self._pairs = pd.concat([self._pairs, frame]).groupby(["banner", "city"], as_index=False).sum()
        other = frame["city"] == OTHER
        self._unrecognised.update(frame.loc[other, "impressions"].groupby(names[other]).sum().to_dict())

    def _why_empty(self) -> str:
        if not self._layout.filters:
            return "there are no rows, only the names of the columns"
        return "no row has " + " and ".join(f"{column} = {text!r}" for column, text in self._layout.filters)


def _is(column: str, text: str, right: str) -> str:
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
    return f"{column} is {shown!r}; {right}" if text else f"{column} is empty; {right}"


def _number(text: str, most: int | None) -> int:
    match = WHOLE_NUMBER.fullmatch(text)
    number = int(match[1]) if match else WRONG
    if most is not None:
        number = BOOLEANS.get(text.lower(), number)
        return number if number <= most else WRONG
    return number


def listing(names: Collection[str]) -> str:
    """Names as one text, cut where they are many."""
    shown = ", ".join(list(names)[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown or "none"

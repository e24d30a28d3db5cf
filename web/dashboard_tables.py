"""Tables of the dashboard: described once, shown on the page and sent as CSV."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Response

from web.csv_answer import csv_answer
from web.dashboard_formats import text

Row = Mapping[str, Any]
MOST_ROWS = 200
"""More than people read; a page with all would take seconds."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in CSV, its heading, and how a value is shown."""

    name: str
    heading: str
    form: Callable[[Any], str] = text
    link: Callable[[Row], str] | None = None
    cell: Callable[[Row], str] | None = None
    """What the page shows instead, from the whole row; safe as it is where it is Markup."""
    is_number: bool = False
    is_on_page_only: bool = False

    def shown(self, row: Row) -> str:
        """The content of the cell."""
        return self.form(row[self.name]) if self.cell is None else self.cell(row)


def numeric(name: str, heading: str, form: Callable[[Any], str], **more: Any) -> Column:
    """A column of numbers."""
    return Column(name, heading, form, is_number=True, **more)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings. The first column heads its row."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    empty: str
    """What to do next where there are no rows."""
    more: Sequence[str] = field(default=())
    """Further columns of the CSV."""
    has_csv: bool = True

    @property
    def shown_rows(self) -> Sequence[Row]:
        """Those on the page; the CSV has all."""
        return self.rows[:MOST_ROWS]

    def csv(self) -> Response:
        """A download of the values as they are."""
        names = [column.name for column in self.columns if not column.is_on_page_only]
        return csv_answer(self.name, [*names, *self.more], self.rows)

"""What the embedded store keeps and the store contract does not tell, for copying a tenant to another store."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from bandit.model import ClickRow, Kind
from storage.base import StoreUnavailable

KINDS = {1: Kind.VIEWED.value, 2: Kind.CLICKED.value}


class RetiredId(NamedTuple):
    """The id of something that was deleted; slot or banner is empty where it was the tenant or the slot."""

    slot: str
    banner: str


class SqliteExport:
    """Reads one file, and never writes to it. Every method raises StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=ro"

    def counted_slots(self, tenant: str) -> list[tuple[str, int, int]]:
        """(slot, first day, last day) of every slot that ever counted, also of removed ones."""
        return self._rows("SELECT slot, min(day), max(day) FROM counts WHERE tenant = ? GROUP BY slot", tenant)

    def retired(self, tenant: str) -> list[RetiredId]:
        """Ids below the tenant that must not be used again."""
        slots = self._rows("SELECT slot, '' FROM retired_slots WHERE tenant = ?", tenant)
        banners = self._rows("SELECT slot, banner FROM retired_banners WHERE tenant = ?", tenant)
        return [RetiredId._make(row) for row in slots + banners]

    def clicks(self, tenant: str) -> list[tuple[int, ClickRow]]:
        """(day, click) of all accepted clicks."""
        rows = self._rows(
            """SELECT day, received_at, served_at, impression_id, slot, city, banner, customer, referrer
               FROM clicks WHERE tenant = ?""",
            tenant,
        )
        return [(day, ClickRow._make(row)) for day, *row in rows]

    def claims(self, served_since_us: int) -> list[tuple[bytes, str]]:
        """(impression id, kind) of what was counted of impressions served since then, of all tenants.

        An impression's id begins with when it was served, as eight bytes whose order is that of time.
        """
        rows = self._rows(
            "SELECT impression_id, kind FROM claims WHERE impression_id >= ?", served_since_us.to_bytes(8, "big")
        )
        return [(impression_id, KINDS[kind]) for impression_id, kind in rows]

    def _rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(self._uri, uri=True)) as connection:
                return connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"SQLite: {error}") from error

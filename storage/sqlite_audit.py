"""The audit log in SQLite: who changed what."""

from bandit.model import ChangeRecord
from storage.sqlite_connections import Connected

COLUMNS = ", ".join(ChangeRecord._fields)
OPERATORS = ""
"""No tenant has this id."""


class AuditTable(Connected):
    """The audit half of the store contract."""

    def record_change(self, tenant: str | None, record: ChangeRecord) -> None:
        with self._connections.writing() as connection:
            connection.execute(
                f"INSERT INTO recorded_changes (tenant, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (tenant or OPERATORS, *record),
            )

    def recorded_changes(self, tenant: str | None, *, limit: int) -> list[ChangeRecord]:
        with self._connections.reading() as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM recorded_changes WHERE tenant = ? ORDER BY changed_at DESC, id DESC LIMIT ?",
                (tenant or OPERATORS, limit),
            )
            return [ChangeRecord._make(row) for row in rows]

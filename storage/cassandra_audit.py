"""The audit log in Cassandra: who changed what."""

import uuid

from bandit.model import ChangeRecord
from storage.base import Store
from storage.cassandra_session import CONFIGURING, CassandraSession

WRITE = """INSERT INTO recorded_changes (tenant, id, changed_at, key, role, key_name, action, subject, detail)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
READ = """SELECT changed_at, key, role, key_name, action, subject, detail FROM recorded_changes
    WHERE tenant = ? LIMIT ?"""
OPERATORS = "_operators"
"""No tenant has this id: none begins with an underscore."""


class AuditTable(Store):
    """The audit half of the store contract."""

    _session: CassandraSession

    def record_change(self, tenant: str | None, record: ChangeRecord) -> None:
        # The id is drawn once, so that a write that is sent again after a timeout adds no second line.
        self._session.run(WRITE, (tenant or OPERATORS, uuid.uuid1(), *record), CONFIGURING)

    def recorded_changes(self, tenant: str | None, *, limit: int) -> list[ChangeRecord]:
        rows = self._session.run(READ, (tenant or OPERATORS, limit), CONFIGURING)
        return [ChangeRecord._make(row) for row in rows]

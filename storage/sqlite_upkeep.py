"""Keeping the SQLite file small, sound, copied, and free of what must be forgotten."""

import os
import sqlite3
from pathlib import Path

from bandit.event import decode, encode
from storage.sqlite_connections import Connected

STEP = 10_000
"""Events looked at in one read while searching for a customer; short reads let the write-ahead log be emptied."""


class Upkeep(Connected):
    """The rest of the store contract, and what only this back end needs."""

    def oldest(self) -> tuple[int | None, int | None]:
        with self._connections.reading() as connection:
            query = "SELECT (SELECT min(received_at) FROM events), (SELECT min(impression_id) FROM claims)"
            received_at, impression_id = connection.execute(query).fetchone()
        # An impression id begins with its served_at, as eight bytes whose order is that of time.
        return received_at, None if impression_id is None else int.from_bytes(impression_id[:8], "big")

    def prune(self, *, events_before: int, claims_before: int, limit: int) -> int:
        # Two transactions, so that a delivery can go between them.
        old = "SELECT id FROM events WHERE received_at < ? ORDER BY received_at LIMIT ?"
        with self._connections.writing() as connection:
            connection.execute(
                f"""UPDATE meta SET value = max(value, (SELECT coalesce(max(id), 0) FROM ({old})))
                    WHERE name = 'pruned_event'""",
                (events_before, limit),
            )
            events = connection.execute(f"DELETE FROM events WHERE id IN ({old})", (events_before, limit)).rowcount
        oldest_kept = max(claims_before, 0).to_bytes(8, "big")
        with self._connections.writing() as connection:
            connection.execute(
                "UPDATE meta SET value = ? WHERE name = 'claims_before' AND value < ?", (claims_before, claims_before)
            )
            claims = connection.execute(
                """DELETE FROM claims WHERE (impression_id, kind) IN (
                       SELECT impression_id, kind FROM claims WHERE impression_id < ?
                       ORDER BY impression_id, kind LIMIT ?)""",
                (oldest_kept, limit),
            ).rowcount
        return events + claims

    def forget_customer(self, tenant: str, customer: bytes) -> int:
        with self._connections.writing() as connection:
            deletion = "DELETE FROM customer_segments WHERE tenant = ? AND customer = ?"
            segments = connection.execute(deletion, (tenant, customer)).rowcount
        return segments + self._forget_in_clicks(tenant, customer) + self._forget_in_events(tenant, customer)

    def backup(self, target: Path) -> None:
        """Copy the whole store into one file while others read and write; target is replaced, whole or not at all.

        Raises StoreUnavailable, also when the target cannot be written.
        """
        partial = target.with_name(f"{target.name}.partial")
        partial.unlink(missing_ok=True)
        with self._connections.outside_transactions() as connection:
            connection.execute("VACUUM INTO ?", (str(partial),))
        with partial.open("rb") as copy:
            os.fsync(copy.fileno())
        partial.replace(target)

    def integrity(self) -> list[str]:
        """What is broken in the file; empty when nothing is."""
        with self._connections.outside_transactions() as connection:
            try:
                answers = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:  # too broken even to be checked
                answers = [str(error)]
        return [answer for answer in answers if answer != "ok"]

    def _forget_in_clicks(self, tenant: str, customer: bytes) -> int:
        # Found by a read first: an UPDATE that searches would keep the drain waiting.
        with self._connections.reading() as connection:
            query = "SELECT impression_id FROM clicks WHERE tenant = ? AND customer = ?"
            found = connection.execute(query, (tenant, customer)).fetchall()
        with self._connections.writing() as connection:
            update = "UPDATE clicks SET customer = NULL WHERE impression_id = ?"
            return connection.executemany(update, found).rowcount if found else 0

    def _forget_in_events(self, tenant: str, customer: bytes) -> int:
        with self._connections.reading() as connection:
            first, last = connection.execute(
                "SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM events"
            ).fetchone()
        starts = range(first, last + 1, STEP)
        return sum(self._forget_in_step(tenant, customer, start) for start in starts)

    def _forget_in_step(self, tenant: str, customer: bytes, start: int) -> int:
        with self._connections.reading() as connection:
            query = "SELECT id, payload FROM events WHERE id >= ? AND id < ? AND tenant = ? AND customer = ?"
            found = connection.execute(query, (start, start + STEP, tenant, customer)).fetchall()
        if not found:
            return 0
        erased = [(encode(decode(payload)._replace(customer=None)), number) for number, payload in found]
        with self._connections.writing() as connection:
            update = "UPDATE events SET customer = NULL, payload = ? WHERE id = ?"
            return connection.executemany(update, erased).rowcount

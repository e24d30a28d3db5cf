"""Which records of a journal were taken, so that one delivered again counts once."""

import sqlite3

from bandit.received import Received


def load(connection: sqlite3.Connection, journal: int, shard: int) -> Received:
    """What the store has of a journal's shard."""
    key = (journal, shard)
    found = connection.execute("SELECT sequence FROM positions WHERE journal = ? AND shard = ?", key).fetchone()
    gaps = connection.execute("SELECT first, last FROM gaps WHERE journal = ? AND shard = ? ORDER BY first", key)
    return Received(found[0] if found else 0, gaps.fetchall())


def save(connection: sqlite3.Connection, journal: int, shard: int, received: Received) -> None:
    """Write it back, in the transaction that takes the records."""
    connection.execute(
        """INSERT INTO positions (journal, shard, sequence) VALUES (?, ?, ?)
           ON CONFLICT (journal, shard) DO UPDATE SET sequence = excluded.sequence""",
        (journal, shard, received.highest),
    )
    if received.gaps_changed:
        connection.execute("DELETE FROM gaps WHERE journal = ? AND shard = ?", (journal, shard))
        connection.executemany(
            "INSERT INTO gaps (journal, shard, first, last) VALUES (?, ?, ?, ?)",
            [(journal, shard, first, last) for first, last in received.gaps],
        )

"""Which records of a journal were taken, so that one delivered again counts once."""

import sqlite3


class Received:
    """The sequences taken from one (journal, shard): 1 to `highest`, but for the gaps.

    A highest number alone would take a dead letter that is replayed after its successors for a duplicate.
    """

    def __init__(self, highest: int = 0, gaps: list[tuple[int, int]] | None = None) -> None:
        self.highest = highest
        self.gaps = gaps or []
        """(first, last), both included, in ascending order."""
        self.gaps_changed = False

    def take(self, sequence: int) -> bool:
        """Remember a sequence; False when it was taken before."""
        if sequence <= self.highest:
            return bool(self.gaps) and self._fill(sequence)
        if sequence > self.highest + 1:
            self.gaps.append((self.highest + 1, sequence - 1))
            self.gaps_changed = True
        self.highest = sequence
        return True

    def has(self, sequence: int) -> bool:
        """Whether it was taken before."""
        return sequence <= self.highest and not any(first <= sequence <= last for first, last in self.gaps)

    def _fill(self, sequence: int) -> bool:
        for number, (first, last) in enumerate(self.gaps):
            if first <= sequence <= last:
                parts = ((first, sequence - 1), (sequence + 1, last))
                self.gaps[number : number + 1] = [part for part in parts if part[0] <= part[1]]
                self.gaps_changed = True
                return True
        return False


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

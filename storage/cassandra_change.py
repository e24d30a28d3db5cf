"""How the configuration in Cassandra changes: one decision on one row, then writes that anybody may finish.

Cassandra has no transaction over several partitions, and yet two people who edit at once must not lose an edit, and no
reader may take half of one for the whole. So a change is decided by a lightweight transaction on the row of
`configuration`, which takes the next version and says what is going to be written; then it is written, each row stamped
with the version; then the row says that it is done. Who meets an unfinished change (its process was killed) finishes it
first: the same rows with the same stamps, so it does not matter how often, or how late, that is done.
"""

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar
from uuid import UUID, uuid4

import orjson

from storage.base import Conflict, StoreUnavailable
from storage.cassandra_session import CONFIGURING, DECIDING, POLLING, CassandraSession, OutcomeUnknown

READ_HEAD = "SELECT version, change, change_id, active_epoch FROM configuration WHERE scope = 'all'"
DECIDE = """UPDATE configuration SET version = ?, change = ?, change_id = ?, active_epoch = ? WHERE scope = 'all'
    IF version = ? AND change = null"""
FINISH = "UPDATE configuration SET change = null WHERE scope = 'all' IF change_id = ?"

# What a change can consist of. Deletions are stamped one lower than what the same change writes: at the same stamp a
# deletion would win.
WRITES = {
    "tenant": "INSERT INTO tenants (tenant, document) VALUES (:tenant, :document) USING TIMESTAMP :stamp",
    "key": """INSERT INTO api_keys (key_id, tenant, document) VALUES (:key_id, :tenant, :document)
        USING TIMESTAMP :stamp""",
    "slot": "INSERT INTO slots (tenant, slot, document) VALUES (:tenant, :slot, :document) USING TIMESTAMP :stamp",
    "banner": """INSERT INTO banners (tenant, slot, banner, document, created)
        VALUES (:tenant, :slot, :banner, :document, :created) USING TIMESTAMP :stamp""",
    "seed": """INSERT INTO seeds (tenant, slot, seed_id, city, banner, trials, clicks)
        VALUES (:tenant, :slot, :seed_id, :city, :banner, :trials, :clicks) USING TIMESTAMP :stamp""",
    "retired": "INSERT INTO retired (tenant, slot, banner) VALUES (:tenant, :slot, :banner) USING TIMESTAMP :stamp",
    "epoch": """INSERT INTO epochs (scope, epoch, topic, topic_id, partitions, started_us, start_offsets, state)
        VALUES ('all', :epoch, :topic, :topic_id, :partitions, :started_us, :start_offsets, :state)
        USING TIMESTAMP :stamp""",
    "no tenant": "DELETE FROM tenants USING TIMESTAMP :stamp WHERE tenant = :tenant",
    "no key": "DELETE FROM api_keys USING TIMESTAMP :stamp WHERE key_id = :key_id",
    "no slot": "DELETE FROM slots USING TIMESTAMP :stamp WHERE tenant = :tenant AND slot = :slot",
    "no banner": """DELETE FROM banners USING TIMESTAMP :stamp
        WHERE tenant = :tenant AND slot = :slot AND banner = :banner""",
    "no banners": "DELETE FROM banners USING TIMESTAMP :stamp WHERE tenant = :tenant AND slot = :slot",
    "no seeds": "DELETE FROM seeds USING TIMESTAMP :stamp WHERE tenant = :tenant AND slot = :slot",
    "no seeds of": """DELETE FROM seeds USING TIMESTAMP :stamp
        WHERE tenant = :tenant AND slot = :slot AND seed_id = :seed_id""",
}
DELETIONS = {name for name in WRITES if name.startswith("no ")}
DEADLINE_SECONDS = 30.0
"""How long a change gives way to others before it gives up."""

Write = tuple[str, Mapping[str, object]]
"""A name of WRITES, and what is bound to it but the stamp."""
Result = TypeVar("Result")


class Head(NamedTuple):
    """The row that everything is decided on."""

    version: int
    change: bytes | None
    change_id: UUID | None
    active_epoch: int


def settled_head(session: CassandraSession, profile: str = POLLING) -> Head:
    """The head when no change is unfinished; one that is gets finished. Raises StoreUnavailable."""
    while True:
        head = _read_head(session, profile)
        if head.change is None:
            return head
        finish(session, head)


def read_settled(session: CassandraSession, read: Callable[[Head], Result]) -> Result:
    """What `read` answers, at one version. Raises StoreUnavailable."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    before = settled_head(session)
    while time.monotonic() < deadline:
        result = read(before)
        after = settled_head(session)
        if after.version == before.version:
            return result
        before = after
    raise StoreUnavailable("the configuration changes too often to be read")


def change(
    session: CassandraSession,
    plan: Callable[[Head, int], Sequence[Write]],
    *,
    expected_version: int | None = None,
    active_epoch: int | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> bool:
    """Carry out what plan(head, new version) wants, as of the head it is given; False where that is nothing.

    The plan may be asked several times, since others change things too. Raises Conflict, StoreUnavailable.
    """
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline:
        head = settled_head(session, DECIDING)
        if expected_version not in (None, head.version):
            raise Conflict("the configuration was changed in the meantime")
        # Near the time, so that a row mended by hand outranks what was there and not what comes.
        version = max(time.time_ns() // 1000, head.version + 1)
        writes = plan(head, version)
        if not writes:
            return False
        epoch = head.active_epoch if active_epoch is None else active_epoch
        next_head = Head(version, zlib.compress(orjson.dumps(writes)), uuid4(), epoch)
        if _decide(session, head, next_head):
            finish(session, next_head)
            return True
    raise StoreUnavailable("others change the configuration without a pause")


def _read_head(session: CassandraSession, profile: str) -> Head:
    rows = session.run(READ_HEAD, (), profile)
    if not rows:
        raise StoreUnavailable("Cassandra: no row in `configuration`; `python -m storage.cassandra_schema` makes it")
    return Head._make(rows[0])


def _decide(session: CassandraSession, head: Head, next_head: Head) -> bool:
    """Whether it was decided; False when somebody else was quicker."""
    try:
        return session.compare_and_set(DECIDE, (*next_head, head.version))
    except OutcomeUnknown:
        now = _read_head(session, DECIDING)
        if now.change_id == next_head.change_id:
            return True
        if now.version == head.version:
            return False
        raise


def finish(session: CassandraSession, head: Head) -> None:
    """Write what the head says, and then that it is done; again and again does no harm. Raises StoreUnavailable."""
    assert head.change is not None
    writes = orjson.loads(zlib.decompress(head.change))
    deletions = [_bound(write, head.version - 1) for write in writes if write[0] in DELETIONS]
    others = [_bound(write, head.version) for write in writes if write[0] not in DELETIONS]
    session.run_many(deletions + others, CONFIGURING)
    with suppress(StoreUnavailable):  # all is written; the next one who comes will say so
        session.compare_and_set(FINISH, (head.change_id,))


def _bound(write: Write, stamp: int) -> tuple[str, Mapping[str, object]]:
    name, values = write
    return WRITES[name], {**values, "stamp": stamp}

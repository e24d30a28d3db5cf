"""The distributed store: configuration, counts and clicks in Cassandra. Counting itself is the consumers' work."""

from storage.base import LogProgress, SchemaVersionError, StoreUnavailable
from storage.cassandra_audit import AuditTable
from storage.cassandra_configuration import ConfigurationTables
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_counts import CountTables
from storage.cassandra_segments import SegmentTables
from storage.cassandra_session import SERVING, CassandraOptions, CassandraSession
from storage.cassandra_tables import version

__all__ = ["CassandraOptions", "CassandraStore", "SchemaVersionError"]


class CassandraStore(AuditTable, ConfigurationTables, CountTables, SegmentTables, LogProgress):
    """May be used by any number of threads; connects when first used, also anew in a child after a fork."""

    def __init__(self, options: CassandraOptions, *, reading: str = SERVING) -> None:
        """`reading` is the profile with which counts and clicks are read."""
        self._session = CassandraSession(options)
        self._reading = reading
        self._epoch = None

    def check_version(self) -> None:
        """Raise SchemaVersionError when a newer release wrote the tables, StoreUnavailable when they cannot be used."""
        if version(self._session) is None:
            raise StoreUnavailable("Cassandra: there are no tables; `python -m storage.cassandra_schema` makes them")

    def forget_customer(self, tenant: str, customer: bytes) -> int:
        return super().forget_customer(tenant, customer) + self.forget_segment(tenant, customer)

    def counted_until(self, shards: int) -> list[int]:
        counting = CassandraCounting(self._session, self._active_epoch())
        found = [counting.progress(shard) for shard in range(shards)]
        return [max((one.seen_us for one in each.journals.values()), default=0) if each else 0 for each in found]

    def close(self) -> None:
        self._session.close()

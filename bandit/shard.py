"""Which log an impression is counted from."""

import zlib


def shard_of(tenant: str, slot: str, city: str, partitions: int) -> int:
    """The shard, from 0, of an impression served here; the same in every process, and in every release.

    An impression keeps it in its token, so its click lands in the same log also after partitions were added.
    """
    return zlib.crc32(f"{tenant}\0{slot}\0{city}".encode()) % partitions

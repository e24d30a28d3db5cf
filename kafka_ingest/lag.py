"""How far counting is behind the log."""

import time

from kafka_ingest.client import KafkaOptions
from kafka_ingest.consuming import find_epoch
from kafka_ingest.epoch_topic import check_topic, log_ends
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_session import CassandraSession

LOOK_SECONDS = 0.5


def uncounted(session: CassandraSession, kafka: KafkaOptions, seconds: float) -> dict[int, int]:
    """Shard -> how many messages that are in the log now are not counted in the active epoch after so many seconds;
    returns as soon as there are none. Raises CannotCount, StoreUnavailable."""
    epoch = find_epoch(session, None)
    check_topic(kafka, epoch)
    ends = log_ends(kafka, epoch.topic, epoch.partitions)
    counting = CassandraCounting(session, epoch.number)
    deadline = time.monotonic() + seconds
    while True:
        progress = {shard: counting.progress(shard) for shard in ends}
        positions = {
            shard: one.next_offset if one else epoch.start_offsets.get(shard, 0) for shard, one in progress.items()
        }
        behind = {shard: end - positions[shard] for shard, end in ends.items() if positions[shard] < end}
        if not behind or time.monotonic() > deadline:
            return behind
        time.sleep(LOOK_SECONDS)

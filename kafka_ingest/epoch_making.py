"""Epochs over the topic as it is in Kafka: made, published, spread over partitions that were added, and led on where
the log lost what comes next."""

from bandit.counting_store import Progress, ProgressWrite
from bandit.model import Epoch
from bandit.zone import day_to_date
from kafka_ingest.client import KafkaOptions
from kafka_ingest.epoch_topic import check_topic, log_starts, read_topic
from storage.base import Conflict
from storage.cassandra_carrying import carry, held
from storage.cassandra_counting import CassandraCounting
from storage.cassandra_epochs import active_epoch, create_epoch, epochs, publish_epoch, set_partitions
from storage.cassandra_session import CassandraSession


def create(session: CassandraSession, kafka: KafkaOptions, topic: str, now_us: int) -> Epoch:
    """A new epoch of the topic as it is now. Where that is not the topic of the active one, what is counted there is
    carried over. Raises CannotCount, Conflict, StoreUnavailable."""
    state = read_topic(kafka, topic)
    number = max((epoch.number for epoch in epochs(session)), default=0) + 1
    starts = log_starts(kafka, topic, state.partitions)
    epoch = Epoch(number, topic, state.id, state.partitions, now_us, starts, "filling")
    active = active_epoch(session)
    if active is not None and active.topic_id != epoch.topic_id:
        carry(session, active, epoch)  # before it can be published, and before anybody counts it
    create_epoch(session, epoch)
    return epoch


def publish(session: CassandraSession, kafka: KafkaOptions, number: int, *, lose_history: bool = False) -> int:
    """Make it the active one, spread over the partitions that its topic has now; how many those are.

    Raises CannotCount, StoreUnavailable; Conflict also where counts would vanish, unless they may.
    """
    epoch = _known(session, number)
    check_topic(kafka, epoch)
    active = active_epoch(session)
    if active is not None and active.number != number and not lose_history:
        _check_nothing_is_lost(session, active, epoch)
    partitions = read_topic(kafka, epoch.topic).partitions
    if partitions != epoch.partitions:
        set_partitions(session, number, partitions)
    if active is None or active.number != number:
        publish_epoch(session, number)
    return partitions


def skip(session: CassandraSession, kafka: KafkaOptions, number: int) -> dict[int, int]:
    """Go on where the log begins now, in the shards whose log lost what is to be counted next; how many offsets are
    left out, by shard. Raises CannotCount, Conflict, StoreUnavailable."""
    epoch = _known(session, number)
    check_topic(kafka, epoch)
    counting, skipped = CassandraCounting(session, number), {}
    for shard, begin in log_starts(kafka, epoch.topic, epoch.partitions).items():
        progress = counting.progress(shard) or Progress(epoch.start_offsets.get(shard, 0), {})
        if progress.next_offset < begin:
            moved = progress._replace(next_offset=begin)
            counting.write_progress([ProgressWrite(shard, moved, epoch.started_us + begin - 1)])
            skipped[shard] = begin - progress.next_offset
    return skipped


def _known(session: CassandraSession, number: int) -> Epoch:
    for epoch in epochs(session):
        if epoch.number == number:
            return epoch
    raise Conflict(f"there is no epoch {number}; `list` shows those there are")


def _check_nothing_is_lost(session: CassandraSession, active: Epoch, epoch: Epoch) -> None:
    """Raise Conflict where the active epoch holds what the other one neither has nor counts from its log."""
    counts_the_same = epoch.topic_id == active.topic_id and all(
        begin <= active.start_offsets.get(shard, 0) for shard, begin in epoch.start_offsets.items()
    )
    here, there = held(session, active.number), held(session, epoch.number)
    lost = (here.imported if counts_the_same else here.by_day) - there.imported
    if lost:
        raise Conflict(
            f"epoch {active.number} holds up to {lost.total():,} impressions, of {day_to_date(min(lost))} to "
            f"{day_to_date(max(lost))}, that epoch {epoch.number} lacks: its log begins later, or they were imported. "
            f"`skip {active.number}` goes on with epoch {active.number} where its log lost events, and `python -m "
            "spark_jobs.recount --publish` counts what is archived once more; --lose-history publishes it all the same"
        )

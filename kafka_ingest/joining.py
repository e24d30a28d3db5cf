"""Staying in a consumer group with kafka-python 3.0."""

from kafka import KafkaConsumer
from kafka.coordinator.base import MemberState


def finish_joining(consumer: KafkaConsumer) -> None:
    """Call it after each `poll`.

    The client forgets a join that began because of new metadata when its answer comes after `poll` has returned: it
    would then wait for ever, outside the group, and without an error.
    """
    if consumer.group_metadata().state is MemberState.REBALANCING:
        consumer._coordinator.request_rejoin()

"""Between which messages of a topic a job reads: offsets, times or all, made into offsets before Spark starts."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from kafka_ingest.client import KafkaOptions
from kafka_ingest.epoch_topic import CannotCount, log_ends, log_offsets_at, log_starts, read_topic
from spark_jobs.job import BadInput

Bound = str | datetime | Mapping[int, int]
"""earliest, latest, a time, or offsets by partition."""


def parse(name: str, text: str) -> Bound:
    """What --`name` says. Raises BadInput."""
    if text in ("earliest", "latest"):
        return text
    try:
        return _offsets(text) if text.startswith("{") else _time(text)
    except (ValueError, AttributeError, TypeError):
        raise BadInput(
            f"--{name}: {text!r} is neither earliest, latest, a time such as 2026-06-13T09:00+05:30, "
            'nor offsets by partition such as {"0": 1200, "1": 0}'
        ) from None


def between(kafka: KafkaOptions, topic: str, starting: Bound, ending: Bound) -> tuple[dict[int, int], dict[int, int]]:
    """The offsets from which on and before which messages are wanted, of each partition. Raises BadInput where there is
    no such topic or no message lies between, StoreUnavailable."""
    partitions = partitions_of(kafka, topic)
    starts, ends = log_starts(kafka, topic, partitions), log_ends(kafka, topic, partitions)

    def offsets(name: str, bound: Bound, default: Mapping[int, int]) -> dict[int, int]:
        if isinstance(bound, datetime):
            found = log_offsets_at(kafka, topic, partitions, int(bound.timestamp() * 1000))
            return {log: ends[log] if offset is None else offset for log, offset in found.items()}
        if isinstance(bound, str):
            return dict(starts if bound == "earliest" else ends)
        for log, offset in bound.items():
            if not starts.get(log, offset + 1) <= offset <= ends.get(log, -1):
                raise BadInput(
                    f"--{name}: topic {topic} has no offset {offset} in partition {log}; {_has(starts, ends)}"
                )
        return {**default, **bound}

    first, last = offsets("starting", starting, starts), offsets("ending", ending, ends)
    if all(last[log] <= first[log] for log in starts):
        raise BadInput(f"no message of topic {topic} lies between --starting and --ending; {_has(starts, ends)}")
    return first, {log: max(offset, first[log]) for log, offset in last.items()}


def partitions_of(kafka: KafkaOptions, topic: str) -> int:
    """How many the topic has. Raises BadInput where there is none, StoreUnavailable."""
    try:
        return read_topic(kafka, topic).partitions
    except CannotCount as error:
        raise BadInput(str(error)) from error


def _has(starts: Mapping[int, int], ends: Mapping[int, int]) -> str:
    return "it has " + ", ".join(
        f"{ends[log] - start} in {log} ({start} to {ends[log]})" for log, start in sorted(starts.items())
    )


def _offsets(text: str) -> dict[int, int]:
    given = json.loads(text)
    if not given or not all(type(offset) is int for offset in given.values()):
        raise ValueError
    return {int(log): offset for log, offset in given.items()}


def _time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)

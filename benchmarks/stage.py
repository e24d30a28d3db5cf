"""Where a part of the benchmarks of the distributed mode is measured."""

from pathlib import Path
from typing import NamedTuple

from services.cassandra import Cassandra
from services.kafka import Kafka


class Stage(NamedTuple):
    """Running servers, and a directory that the part may make."""

    directory: Path
    kafka: Kafka
    cassandra: Cassandra
    rounds: int
    """By turns."""

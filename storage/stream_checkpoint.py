"""What the checkpoint of the streaming job says: which batches are done, and up to which offsets.

Spark writes offsets/<batch> before a batch and commits/<batch> after it; the third line of the former is
{"topic": {"partition": offset}}.
See "Recovering from Failures with Checkpointing" in Spark's guide to Structured Streaming.
"""

import json
import re
from pathlib import Path

_FILE = re.compile(r"stream-([0-9a-f]{8})-(\d+)\.parquet")


def file_name(query_id: str, batch: int) -> str:
    """Of the files of a batch, without suffix; the same when the batch is done again."""
    return f"stream-{query_id[:8]}-{batch:09d}"


def last_batch(checkpoint: Path) -> int:
    """The last one that is done; -1 before the first."""
    return max((int(path.name) for path in (checkpoint / "commits").glob("[0-9]*")), default=-1)


def end_offsets(checkpoint: Path) -> dict[int, int]:
    """Partition -> the offset after the last that is archived for good."""
    batch = last_batch(checkpoint)
    if batch < 0:
        return {}
    lines = (checkpoint / "offsets" / str(batch)).read_text("utf-8").splitlines()
    (partitions,) = json.loads(lines[2]).values()
    return {int(partition): offset for partition, offset in partitions.items()}


def is_complete(checkpoint: Path, path: Path) -> bool:
    """Whether this file is written for good: a batch that was not committed will be written once more."""
    found = _FILE.fullmatch(path.name)
    return found is None or int(found[2]) <= last_batch(checkpoint)

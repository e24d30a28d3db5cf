"""Count all archived events once more: compare with what is counted, or put it right.

    python -m spark_jobs.recount                    every difference, one a line; exit code 1 where there is any
    python -m spark_jobs.recount --publish          correct the counts by it
    python -m spark_jobs.recount --publish --exclude-from 2026-06-13T09:00+05:30 --exclude-to 2026-06-13T11:00+05:30

The embedded store (which is exported first) is corrected in place. In Cassandra a new epoch is filled beside the live
one, as of one offset of each shard, and a single row switches everybody over; the consumers go on from there. The
archive must have what the consumers have counted: run `python -m spark_jobs.archive --available-now` first, or give
--source topic.

Days that are not wholly in the source stay as they are counted, and are listed. What is excluded goes with its views
and clicks.

Exit codes: 0 nothing differs, or published; 1 differences, or not done; 2 wrong arguments, settings or archive; 143
told to end.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from settings import Settings
from spark_jobs import job
from spark_jobs.job import BadInput

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.folding import Exclusions

OpenSession = Callable[..., "SparkSession"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code; see above."""
    return job.run("recount", _parser().parse_args(arguments), _work)


def _work(given: argparse.Namespace, settings: Settings, open_session: OpenSession) -> int:
    exclusions = _exclusions(given)
    if settings.storage.backend == "sqlite":
        from spark_jobs.embedded_recount import recount as recount_embedded

        if given.source != "archive":
            raise BadInput("--source topic: the embedded store counts from no topic")
        return recount_embedded(settings, exclusions, open_session, publish=given.publish)
    from spark_jobs.distributed_recount import recount as recount_distributed

    return recount_distributed(settings, exclusions, open_session, source=given.source, publish=given.publish)


def _exclusions(given: argparse.Namespace) -> "Exclusions":
    from spark_jobs.folding import Exclusions

    if (given.exclude_from is None) != (given.exclude_to is None):
        raise BadInput("--exclude-from and --exclude-to: give both, or neither")
    if given.exclude_from and given.exclude_from > given.exclude_to:
        raise BadInput("--exclude-from is after --exclude-to")
    if given.exclude_faster_than_ms < 0:
        raise BadInput("--exclude-faster-than-ms: a number of milliseconds, 0 or more")
    return Exclusions(
        given.exclude_from,
        given.exclude_to,
        given.exclude_customer,
        given.exclude_referrer,
        given.exclude_faster_than_ms,
    )


def _time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _parser() -> argparse.ArgumentParser:
    parser = job.parser("spark_jobs.recount", __doc__)
    parser.add_argument("--publish", action="store_true", help="correct what is counted")
    parser.add_argument("--source", choices=("archive", "topic"), default="archive", help="where events are read")
    excluding = parser.add_argument_group("leave out")
    excluding.add_argument("--exclude-from", type=_time, metavar="TIME", help="impressions served from here on")
    excluding.add_argument("--exclude-to", type=_time, metavar="TIME", help="and up to here")
    excluding.add_argument(
        "--exclude-customer",
        type=bytes.fromhex,
        action="append",
        default=[],
        metavar="HEX",
        help="as in /reports/clicks",
    )
    excluding.add_argument("--exclude-referrer", action="append", default=[], metavar="ID")
    excluding.add_argument(
        "--exclude-faster-than-ms", type=int, default=0, metavar="MS", help="views and clicks sooner than this"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

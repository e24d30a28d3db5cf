"""Measure the distributed mode against its targets. Starts Cassandra and Kafka of its own; needs Java 17, Maven, wrk.

    python -m benchmarks.distributed [forwarder] [consumer] [clicks] [banner] [frozen] [delay] [--rounds 3]

  forwarder  events into Kafka against a bare producer with the same settings
  consumer   counting impressions against a bare loop that polls and decodes the same messages
  clicks     the same with 5 % clicks, each of which claims its impression at a quorum
  banner     GET /banner against the embedded mode; Kafka and Cassandra run at the lowest priority, as if elsewhere
  frozen     GET /banner at 300 requests/s with all of Cassandra frozen, against the same while it is well
  delay      how soon a click is in the counts, and in the choice, at 500 events/s

Absolute figures say something about the machine; what counts are ratios of rounds by turns. Use a machine with nothing
else to do.

Exit codes: 0 every target is met, 1 one is missed, 2 it could not be measured.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.distributed_http import measure_banner, measure_delay, measure_frozen
from benchmarks.distributed_kafka import measure_clicks, measure_consumer, measure_forwarder
from benchmarks.results import Result
from benchmarks.stage import Stage
from benchmarks.wrk import CannotMeasure
from services import Missing
from services.cassandra import Cassandra
from services.kafka import Kafka
from services.process import Failed

MISSED, CANNOT_MEASURE = 1, 2

Measure = Callable[[Stage], list[Result]]

PARTS: dict[str, Measure] = {
    "forwarder": measure_forwarder,
    "consumer": measure_consumer,
    "clicks": measure_clicks,
    "banner": measure_banner,
    "frozen": measure_frozen,
    "delay": measure_delay,
}


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _options(arguments)
    results: list[Result] = []
    try:
        with TemporaryDirectory(prefix="banner-bench-") as name:
            directory = Path(name)
            print("Kafka and Cassandra start ...", flush=True)
            with Kafka(directory / "services") as kafka, Cassandra(directory / "services") as cassandra:
                for part in options.parts or PARTS:
                    print(part, flush=True)
                    results += PARTS[part](Stage(directory / part, kafka, cassandra, options.rounds))
    except (CannotMeasure, Missing, Failed) as error:
        print(error, file=sys.stderr)
        return CANNOT_MEASURE
    finally:
        print("\n".join(["", *(result.line() for result in results)]))
    return 0 if all(result.met for result in results) else MISSED


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="part", type=_part, help="which to measure; else all")
    parser.add_argument("--rounds", type=int, default=3, help="by turns (default: %(default)d)")
    return parser.parse_args(arguments)


def _part(name: str) -> str:
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

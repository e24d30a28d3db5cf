"""`python -m services up | down | status`: the servers of the distributed mode, on this machine."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from services import Missing
from services.cassandra import Cassandra
from services.cluster import Cluster
from services.kafka import Kafka
from services.process import Failed
from services.registry import Registry

NAMES = ("cassandra", "kafka", "registry")
SIZES = range(1, 6)
DIRECTORY = Path(__file__).parent.parent / "data" / "services"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = _parser().parse_args(arguments)
    directory = given.directory.resolve()
    commands = {"up": _up, "down": _down, "status": _status}
    try:
        clusters = [_cluster(name, directory, given) for name in given.names or NAMES]
        return commands[given.command](clusters)
    except (Missing, Failed) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services",
        description="Starts and stops Cassandra, Kafka and a schema registry on loopback addresses, for a first look "
        "at the distributed mode. They go on until `down`, and keep their data. Needs Java 17 and Maven.",
        epilog="Exit codes: 0 done (status: all run), 1 not, 2 wrong arguments.",
    )
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("names", nargs="*", type=_name, metavar="service", help=f"{', '.join(NAMES)}; none means all")
    parser.add_argument("--nodes", type=int, choices=SIZES, help="nodes of Cassandra, on 127.0.0.1, 127.0.0.2 ... (1)")
    parser.add_argument("--brokers", type=int, choices=SIZES, help="brokers of Kafka (1)")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="data and logs (data/services)")
    return parser


def _name(text: str) -> str:
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(NAMES)}")
    return text


def _cluster(name: str, directory: Path, given: argparse.Namespace) -> Cluster:
    if name == "cassandra":
        return Cassandra(directory, given.nodes or Cassandra.size_in(directory) or 1, outlives=True)
    if name == "kafka":
        return Kafka(directory, given.brokers or Kafka.size_in(directory) or 1, outlives=True)
    return Registry(directory, outlives=True)


def _up(clusters: Sequence[Cluster]) -> int:
    for cluster in clusters:
        started = time.monotonic()
        print(f"{cluster.name} starts (half a minute; the first time it is fetched, 50 MB) ...", flush=True)
        cluster.start()
        print(f"{cluster.name} answers after {time.monotonic() - started:.0f} s", flush=True)
    return _status(clusters)


def _down(clusters: Sequence[Cluster]) -> int:
    for cluster in clusters:
        cluster.stop()
        print(f"{cluster.name} stopped")
    return 0


def _status(clusters: Sequence[Cluster]) -> int:
    for cluster in clusters:
        for process in cluster.processes:
            state = f"runs, pid {process.pid}" if process.pid else "stopped"
            print(f"{process.name:12} {state:20} log: {os.path.relpath(process.log_path)}")
        print(f"{cluster.name:12} {cluster.address}")
    return 0 if all(process.pid for cluster in clusters for process in cluster.processes) else 1


if __name__ == "__main__":
    sys.exit(main())

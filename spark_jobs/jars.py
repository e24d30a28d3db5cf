"""The connectors of Spark (Cassandra, Kafka, Avro): `python -m spark_jobs.jars` fetches them with Maven, once.

Exit codes: 0 they are there, 1 they could not be fetched.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from services import Missing
from services.jars import fetch, kept_in

POM = Path(__file__).with_name("spark.pom.xml")


def kept() -> Path:
    """Where they are, or will be."""
    return kept_in(POM)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m spark_jobs.jars", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    try:
        if not kept().exists():
            print("fetching 17 jars, 19 MB; about 10 seconds ...", flush=True)
            fetch(POM, kept())
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    print(f"the jars are in {kept()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the whole distributed mode on this machine, and say what to look at: `python -m commands.run_distributed`.

It starts Cassandra and Kafka (Java 17 and Maven are needed), makes the tables, topics, an epoch and the demo tenant,
and then keeps the service, two consumers and the intake running until it is told to end. Cassandra and Kafka go on;
`make services-down` stops them. Everything is kept under data/distributed and data/services, so a second run goes on
where the first one ended. Settings of the environment hold, but for those that say where the local servers are.

Exit codes: 0 told to end, 1 something cannot be started, 2 wrong arguments or settings.
"""

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands import demo
from kafka_ingest.opening import cassandra_session, options
from kafka_ingest.topics import wanted
from processes import log
from processes.supervisor import Program, Supervisor
from services import Missing
from services.cassandra import Cassandra
from services.kafka import Kafka
from services.process import Failed
from serving.secret_file import SecretFileError, load_or_create
from settings import ROOT, Settings, SettingsError, load
from storage.base import Conflict, MissingPackage, SchemaVersionError, StoreUnavailable
from storage.cassandra_schema import make_tables
from storage.opening import cassandra_options

if TYPE_CHECKING:
    from storage.cassandra_session import CassandraSession

SERVICES, DATA = ROOT / "data" / "services", ROOT / "data" / "distributed"
PARTITIONS = 4
CONSUMERS = 2
SESSION_TIMEOUT_MS = 10_000
"""A consumer that was killed is replaced so soon."""
CONSUMER_STOP_SECONDS, SERVICE_STOP_SECONDS, STOP_SECONDS = 12.0, 16.0, 60.0


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m commands.run_distributed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--directory", type=Path, default=SERVICES, help="of the servers, as for `python -m services`")
    directory = parser.parse_args(arguments).directory.resolve()
    try:
        options(Settings()), cassandra_options(Settings())  # say what is missing, before it is imported
        from kafka_ingest.epoch_topic import CannotCount
    except MissingPackage as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    try:
        ours = environment(environ, *start_services(directory))
        settings = load({**environ, **ours})
        prepare(settings)
        demo.main([], {**environ, **ours})
        print(what_to_look_at(settings, write_environment(settings.paths.data, ours)), flush=True)
        log.configure(settings.log.level, settings.log.time_zone)
        return supervise(programs(settings.consumer.metrics_port), {**environ, **ours})
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (Missing, Failed, SecretFileError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
    except (StoreUnavailable, SchemaVersionError, Conflict, CannotCount) as error:
        print(f"cannot be made ready: {error}", file=sys.stderr)
    return 1


def start_services(directory: Path) -> tuple[Cassandra, Kafka]:
    """One node of each; those that run already go on. Raises Missing, Failed."""
    cassandra = Cassandra(directory, Cassandra.size_in(directory) or 1, outlives=True)
    kafka = Kafka(directory, Kafka.size_in(directory) or 1, outlives=True)
    for server in (cassandra, kafka):
        print(f"{server.name} starts (half a minute; the first time it is fetched, 50 MB) ...", flush=True)
        server.start()
    return cassandra, kafka


def environment(environ: Mapping[str, str], cassandra: Cassandra, kafka: Kafka) -> dict[str, str]:
    """What tells every process of ours where all is. Raises SecretFileError."""
    data = Path(environ.get("BANNER_DATA_DIRECTORY", DATA))
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = load_or_create(data / "secrets.json")
    return {
        "BANNER_DATA_DIRECTORY": str(data),
        "BANNER_STORAGE_BACKEND": "cassandra",
        "BANNER_CONSUMER_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
        "BANNER_CASSANDRA_HOSTS": ", ".join(cassandra.hosts),
        "BANNER_CASSANDRA_PORT": str(cassandra.port),
        "BANNER_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "BANNER_SECRETS_TOKEN_KEYS": ",".join(f"{number}:{key.hex()}" for number, key in keys.token_keys.items()),
        "BANNER_SECRETS_CUSTOMER_KEY": keys.customer_key.hex(),
    }


def write_environment(directory: Path, ours: Mapping[str, str]) -> Path:
    """For commands in another terminal: a file to read into a shell, for its owner only, as it has the keys."""
    path = directory / "environment.sh"
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in ours.items()))
    return path


def prepare(settings: Settings) -> None:
    """Tables, topics and an epoch, as far as they are missing. Raises StoreUnavailable, Conflict, CannotCount."""
    from kafka_ingest.epoch_making import create, publish
    from kafka_ingest.topic_making import make_topics

    kafka = options(settings)
    settings.paths.make()
    make_tables(settings)
    brokers = len(settings.kafka.bootstrap.split(","))
    make_topics(kafka, wanted(settings), PARTITIONS, min(3, brokers), print)
    session = cassandra_session(settings)
    try:
        if not _has_epoch(session, settings):
            epoch = create(session, kafka, settings.kafka.topic, time.time_ns() // 1000)
            publish(session, kafka, epoch.number)
            print(f"epoch {epoch.number} is made and published")
    finally:
        session.close()


def _has_epoch(session: "CassandraSession", settings: Settings) -> bool:
    """Whether one is published that can be counted from the topic as it is now."""
    from kafka_ingest.epoch_topic import CannotCount, check_topic
    from storage.cassandra_epochs import active_epoch

    epoch = active_epoch(session)
    if epoch is None:
        return False
    try:
        check_topic(options(settings), epoch)
    except CannotCount as error:
        print(error)
        return False
    return True


def supervise(programs: Sequence[Program], environ: Mapping[str, str]) -> int:
    """Keep them running until SIGTERM or SIGINT."""
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda signalled, _: received.append(signalled))
    return Supervisor(programs, lambda: bool(received), environ, stop_seconds=STOP_SECONDS).run()


def programs(first_metrics_port: int) -> list[Program]:
    """What has to run; the service stops first, so that what it journaled is counted."""
    intake = Program("intake", (sys.executable, "-m", "kafka_ingest.intake"), CONSUMER_STOP_SECONDS)
    service = Program("service", (sys.executable, str(ROOT / "app.py")), SERVICE_STOP_SECONDS)
    return [*(_consumer(number, first_metrics_port + number) for number in range(CONSUMERS)), intake, service]


def _consumer(number: int, metrics_port: int) -> Program:
    given = {
        "BANNER_CONSUMER_INSTANCE": f"consumer-{number}",
        "BANNER_CONSUMER_METRICS_PORT": str(metrics_port),
    }
    command = ["env", *(f"{name}={value}" for name, value in given.items()), sys.executable]
    return Program(f"consumer {number}", (*command, "-m", "kafka_ingest.consumer"), CONSUMER_STOP_SECONDS)


def what_to_look_at(settings: Settings, environment: Path) -> str:
    """Where each part shows what it does."""
    cassandra, kafka, python = settings.cassandra, settings.kafka, ".venv/bin/python"
    ports = range(settings.consumer.metrics_port, settings.consumer.metrics_port + CONSUMERS)
    consumers = "\n".join(f"  consumer {n}   http://127.0.0.1:{port}/metrics" for n, port in enumerate(ports))
    return f"""The events go from the service's journal into Kafka, and from there into the counts in Cassandra:

  journal      {settings.paths.journal}
  Kafka        {kafka.bootstrap}, topic {kafka.topic}, {PARTITIONS} partitions
{consumers}
  Cassandra    {cassandra.hosts} port {cassandra.port}, keyspace {cassandra.keyspace}

  dead letters   {python} -m kafka_ingest.dead_letters list
  epochs         {python} -m kafka_ingest.epochs list
  traffic        {python} -m commands.demo_traffic
  intake         put {{"kind": "click", "token": ...}} into the topic {kafka.intake_topic}

In another terminal these commands need to know where all this is:

  . {environment}

Stop with Ctrl-C; `make services-down` stops Cassandra and Kafka.
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

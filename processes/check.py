"""What `python app.py check` says: every setting and where it came from, and whether the servers can be reached."""

from collections.abc import Iterator

from settings import Settings
from storage import opening
from storage.base import MissingPackage, SchemaVersionError


def report(settings: Settings) -> Iterator[str]:
    """One line for each setting, as columns."""
    rows = [(str(key), value, source) for key, value, source in settings.rows()]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, source in rows:
        yield f"{name:{name_width}}  {value:{value_width}}  {source}"


def servers(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """What people know each by, and why it cannot be used, if it cannot; nothing is made."""
    yield opening.name(settings), _store_problem(settings)
    if settings.storage.backend == "cassandra":
        yield f"topic {settings.kafka.topic} in Kafka", _kafka_problem(settings)


def _store_problem(settings: Settings) -> str | None:
    try:
        return opening.problem(settings)
    except (SchemaVersionError, MissingPackage) as error:
        return f"{opening.name(settings)} cannot be used: {error}"


def _kafka_problem(settings: Settings) -> str | None:
    from kafka_ingest.opening import problem

    try:
        return problem(settings)
    except MissingPackage as error:
        return str(error)

"""What `python app.py check` says: every setting and where it came from, and what is in the way of a start."""

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


def needs(settings: Settings) -> Iterator[tuple[str, bool]]:
    """A line about each thing that a start needs, and whether that is in its way; nothing is made."""
    obstacle = settings.paths.obstacle()
    if obstacle:
        yield f"data.directory {settings.paths.data} cannot be used: {obstacle}", True
    if settings.storage.backend == "cassandra":
        yield _line(opening.name(settings), _store_problem(settings))
        yield _line(f"topic {settings.kafka.topic} in Kafka", _kafka_problem(settings))
    elif not obstacle and not settings.paths.database.exists():
        yield f"there is no store at {settings.paths.database} yet; the first start makes it", False
    elif not obstacle:
        yield _line(opening.name(settings), _store_problem(settings))


def _line(name: str, problem: str | None) -> tuple[str, bool]:
    return problem or f"{name} can be reached", problem is not None


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

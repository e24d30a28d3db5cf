"""What `python app.py check` says: every setting, where it came from, and whether the store can be reached."""

from collections.abc import Iterator

from settings import Settings
from storage.base import SchemaVersionError, StoreUnavailable
from storage.sqlite import SqliteStore


def report(settings: Settings) -> Iterator[str]:
    """One line for each setting, as columns."""
    rows = [(str(key), value, source) for key, value, source in settings.rows()]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, source in rows:
        yield f"{name:{name_width}}  {value:{value_width}}  {source}"


def store_problem(settings: Settings) -> str | None:
    """Why the store cannot be used, if it cannot; nothing is created or upgraded."""
    path = settings.paths.database
    if not path.exists():
        return f"there is no store at {path} yet; the first start makes it"
    store = SqliteStore(path)
    try:
        store.check_version()
        store.configuration_version()
    except (StoreUnavailable, SchemaVersionError) as error:
        return f"the store at {path} cannot be used: {error}"
    finally:
        store.close()
    return None

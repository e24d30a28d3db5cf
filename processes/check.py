"""What `python app.py check` says of the settings: every one, and where it came from."""

from collections.abc import Iterator

from settings import Settings


def report(settings: Settings) -> Iterator[str]:
    """One line for each setting, as columns."""
    rows = [(str(key), value, source) for key, value, source in settings.rows()]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, source in rows:
        yield f"{name:{name_width}}  {value:{value_width}}  {source}"

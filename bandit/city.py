"""City names as people write them, and the city ids they mean."""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

from bandit.model import OTHER, UNKNOWN


@lru_cache(maxsize=8192)
def fold(name: str) -> str:
    """What is left when case, accents, spaces and punctuation do not matter: "New-Delhi" and "new delhi" agree."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in decomposed if letter.isalnum())


def index(cities: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Folded name -> city id, for ids and their aliases; an id beats an alias, and the first alias a later one."""
    known = {fold(city): city for city in cities}
    for city, aliases in cities.items():
        for alias in aliases:
            known.setdefault(fold(alias), city)
    return known


def recognise(name: str | None, known: Mapping[str, str]) -> str:
    """The city id a name means; UNKNOWN for no name, OTHER for one that `known` (see index) does not have."""
    folded = fold(name) if name else ""
    if not folded:
        return UNKNOWN
    return known.get(folded, OTHER)

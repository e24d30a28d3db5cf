"""City names as people write them."""

import pytest

from bandit.city import index, recognise
from bandit.model import OTHER, UNKNOWN

CITIES = {"bengaluru": ("Bangalore", "Bengalooru"), "new-delhi": ("Delhi", "नई दिल्ली"), "pune": ()}


@pytest.mark.parametrize(
    ("name", "city"),
    [
        ("Bengaluru", "bengaluru"),
        ("BANGALORE", "bengaluru"),
        ("  new   delhi ", "new-delhi"),
        ("New_Delhi", "new-delhi"),
        ("नई दिल्ली", "new-delhi"),
        ("Puné", "pune"),
        ("Atlantis", OTHER),
        ("", UNKNOWN),
        ("  -- ", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_name_is_recognised_however_it_is_written(name: str | None, city: str) -> None:
    assert recognise(name, index(CITIES)) == city


def test_a_city_keeps_its_own_id_against_an_alias_of_another() -> None:
    assert recognise("pune", index({"mumbai": ("Pune",), "pune": ()})) == "pune"


def test_nobody_can_name_the_reserved_cities() -> None:
    assert recognise("_other", index({"other": ()})) == "other"
    assert recognise("_unknown", index(CITIES)) == OTHER

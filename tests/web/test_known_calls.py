"""A call that was understood before is not looked at again; nobody may see a difference."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bandit.model import Tenant
from serving.keyring import customer_digest
from tests.backends import Backend
from tests.installation import CITIES, Installation, Reply
from web.parameters import split_customer

HOME = "slot=home"


@pytest.fixture
def shop(tmp_path: Path, backend: Backend) -> Iterator[Installation]:
    installation = Installation(tmp_path, backend=backend)
    yield installation
    installation.close()


def ask(shop: Installation, query: str) -> Reply:
    return shop.call("GET", f"/banner?{query}", key="server")


def customers(shop: Installation) -> list[bytes | None]:
    return [event.customer for event in shop.journaled()]


def hashed(shop: Installation, customer: str) -> bytes:
    return customer_digest(shop.keyring.customer_key, "shop", customer)[:8]


@pytest.mark.parametrize(
    "form", ["customer_id={}&" + HOME, HOME + "&customer_id={}", HOME + "&customer_id={}&city=pune"]
)
def test_a_known_call_is_about_the_customer_it_names(shop: Installation, form: str) -> None:
    names = ["c-1", "c-2", "as~ha.1"]
    for name in names:
        assert ask(shop, form.format(name)).status == 200
    assert ask(shop, form.format("")).status == 200
    assert customers(shop) == [*(hashed(shop, name) for name in names), None]


def test_an_escaped_customer_of_a_known_call_is_the_customer_meant(shop: Installation) -> None:
    for _ in range(2):
        ask(shop, HOME + "&customer_id=asha")
        ask(shop, HOME + "&customer_id=as%68a")
        ask(shop, HOME + "&customer_id=asha+rao")
    assert customers(shop) == [hashed(shop, name) for name in ("asha", "asha", "asha rao")] * 2


@pytest.mark.parametrize(
    "query", [HOME + "&customer_id=" + "x" * 129, HOME + "&customer_id=%00", HOME + "&customer_id=%ff"]
)
def test_a_wrong_customer_of_a_known_call_is_refused(shop: Installation, query: str) -> None:
    assert ask(shop, HOME + "&customer_id=c-1").status == 200
    reply = ask(shop, query)
    assert (reply.status, reply.json["error"]["field"]) == (400, "customer_id")


def test_two_customers_are_refused_whatever_is_known(shop: Installation) -> None:
    for _ in range(2):
        assert ask(shop, HOME + "&customer_id=a").status == 200
        assert ask(shop, HOME + "&customer_id=a&customer_id=b").status == 400


def test_a_city_that_looks_like_a_customer_is_a_city(shop: Installation) -> None:
    for _ in range(2):
        assert ask(shop, HOME + "&city=").json["city"] == "_unknown"
        assert ask(shop, HOME + "&city=customer_id=c-1").json["city"] == "_other"
    assert customers(shop) == [None] * 4


def test_a_change_of_configuration_makes_a_known_call_mean_something_else(shop: Installation) -> None:
    query = HOME + "&city=Puna&customer_id=c-1"
    assert [ask(shop, query).json["city"] for _ in range(2)] == ["_other", "_other"]
    shop.store.put_tenant("shop", Tenant("shop", cities={**CITIES, "pune": ("Poona", "Puna")}))
    shop.refresh()
    assert [ask(shop, query).json["city"] for _ in range(2)] == ["pune", "pune"]


def test_a_key_that_was_removed_opens_no_known_call(shop: Installation) -> None:
    assert [ask(shop, HOME).status for _ in range(2)] == [200, 200]
    shop.store.delete_key(shop.keys["server"].split("_")[1])
    shop.refresh()
    assert ask(shop, HOME).status == 401


@pytest.mark.parametrize(
    ("query", "apart"),
    [
        ("", ("", "")),
        ("slot=a", ("slot=a", "")),
        ("slot=a&customer_id=7", ("slot=a&", "7")),
        ("customer_id=7&slot=a", ("slot=a", "7")),
        ("slot=xcustomer_id=7", None),
        ("slot=a&customer_id=%37", None),
    ],
)
def test_only_what_is_surely_the_customer_is_split_off(query: str, apart: tuple[str, str] | None) -> None:
    assert split_customer(query) == apart

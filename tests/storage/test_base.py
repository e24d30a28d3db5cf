"""The store contract itself: a tenant's data can only be asked for by naming the tenant."""

import inspect

import pytest

from storage.base import EventSink, Store

ACROSS_TENANTS = {
    # All tenants at once, for the snapshot of a process.
    "configuration",
    "configuration_version",
    "changes",
    # Keys are found before their tenant is known.
    "put_key",
    "delete_key",
    # Upkeep of the whole store; records that name their tenants themselves.
    "oldest",
    "prune",
    "check_version",
    "close",
    "deliver",
}


@pytest.mark.parametrize("contract", [Store, EventSink])
def test_every_method_that_touches_tenant_data_takes_the_tenant_first(contract: type) -> None:
    for name in contract.__abstractmethods__ - ACROSS_TENANTS:  # type: ignore[attr-defined]
        _self, first, *_rest = inspect.signature(getattr(contract, name)).parameters
        assert first == "tenant", f"{contract.__name__}.{name} takes {first!r} first"


def test_every_public_method_is_part_of_the_contract() -> None:
    for contract in (Store, EventSink):
        public = {name for name in vars(contract) if not name.startswith("_")}
        assert public == set(contract.__abstractmethods__)


def test_an_incomplete_store_cannot_be_made() -> None:
    class Incomplete(Store):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Incomplete()  # type: ignore[abstract]

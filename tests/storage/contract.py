"""What every store must do. A back end's own test file subclasses this and says how to build it.

Nothing here begins with `Test`, so pytest collects these classes only through a subclass. What was counted is read back
in reading_contract; how a sink counts is in sink_contract, for back ends that count themselves. All need the fixtures
`store` and `sink`: one empty store, and something through which events come to count in it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from bandit.model import Role, Seed, Trial
from storage.base import Conflict, EventSink, Store
from tests.storage.configured import BANNER, KEY, OPERATOR, SLOT, TENANT
from tests.storage.events import DAY, clicked, deliver, served, totals
from tests.storage.reading_contract import ReadingContract
from tests.storage.sink_contract import EventSinkContract

__all__ = ["EventSinkContract", "ReadingContract", "StoreContract"]

PUTS: dict[str, Callable[[Store, int], None]] = {
    "tenant": lambda store, version: store.put_tenant("new", replace(TENANT, id="new"), expected_version=version),
    "key": lambda store, version: store.put_key(OPERATOR, expected_version=version),
    "slot": lambda store, version: store.put_slot("shop", replace(SLOT, id="new"), expected_version=version),
    "banner": lambda store, version: store.put_banner("shop", replace(BANNER, id="new"), expected_version=version),
}


def seed(seed_id: str, city: str = "Pune", banner: str = "sale", trials: float = 20.0, clicks: float = 0.5) -> Seed:
    return Seed(seed_id, city, banner, trials, clicks)


class StoreContract:
    """Configuration and seeds."""

    @pytest.fixture
    def filled(self, store: Store) -> Store:
        """Tenants `shop` and `mall`, alike but for their ids."""
        for tenant in ("shop", "mall"):
            store.put_tenant(tenant, replace(TENANT, id=tenant))
            store.put_key(replace(KEY, id=f"key-of-{tenant}", tenant=tenant))
            store.put_slot(tenant, SLOT)
            store.put_banner(tenant, BANNER)
            store.put_seeds(tenant, "home", "2024", [seed("2024")])
        return store

    def test_a_new_store_is_empty(self, store: Store) -> None:
        configuration = store.configuration()
        assert not (configuration.tenants or configuration.keys or configuration.slots or configuration.banners)
        assert store.seeds("shop", "home") == []
        assert configuration.version == store.configuration_version()

    def test_configuration_comes_back_as_it_was_put(self, store: Store) -> None:
        store.put_tenant("shop", TENANT)
        store.put_key(KEY)
        store.put_key(OPERATOR)
        store.put_slot("shop", SLOT)
        store.put_banner("shop", BANNER)
        configuration = store.configuration()
        assert configuration.tenants == {"shop": TENANT}
        assert configuration.keys == {"k1": KEY, "k2": OPERATOR}
        assert configuration.slots == {("shop", "home"): SLOT}
        assert configuration.banners == {("shop", "home"): {"sale": BANNER}}

    def test_values_come_back_in_their_own_types(self, store: Store) -> None:
        store.put_tenant("shop", TENANT)
        store.put_key(KEY)
        store.put_slot("shop", SLOT)
        configuration = store.configuration()
        assert isinstance(configuration.keys["k1"].role, Role)
        assert isinstance(configuration.slots[("shop", "home")].trial, Trial)
        assert isinstance(configuration.tenants["shop"].cities["Pune"], tuple)

    def test_a_value_put_again_replaces_the_first(self, filled: Store) -> None:
        filled.put_tenant("shop", replace(TENANT, name="Renamed"))
        filled.put_key(replace(KEY, id="key-of-shop", role=Role.READ))
        filled.put_slot("shop", replace(SLOT, enabled=True))
        filled.put_banner("shop", replace(BANNER, weight=9.0))
        configuration = filled.configuration()
        assert configuration.tenants["shop"].name == "Renamed"
        assert configuration.keys["key-of-shop"].role == Role.READ
        assert configuration.slots[("shop", "home")].enabled
        assert configuration.banners[("shop", "home")]["sale"].weight == 9.0
        assert not configuration.slots[("mall", "home")].enabled

    def test_banners_keep_the_order_of_their_creation_when_replaced(self, filled: Store) -> None:
        for name in ("zebra", "ant", "cat"):
            filled.put_banner("shop", replace(BANNER, id=name))
        filled.put_banner("shop", replace(BANNER, weight=9.0))
        assert list(filled.configuration().banners[("shop", "home")]) == ["sale", "zebra", "ant", "cat"]

    def test_every_change_raises_the_version(self, filled: Store) -> None:
        versions = [filled.configuration_version() for _ in self._changes(filled)]
        assert versions == sorted(set(versions))
        assert filled.configuration().version == versions[-1]

    def _changes(self, store: Store) -> Iterator[object]:
        yield None
        yield store.put_tenant("new", replace(TENANT, id="new"))
        yield store.put_key(KEY)
        yield store.put_slot("shop", replace(SLOT, id="cart"))
        yield store.put_banner("shop", replace(BANNER, id="new"))
        yield store.put_seeds("shop", "home", "2025", [seed("2025")])
        yield store.delete_seeds("shop", "home", "2025")
        yield store.delete_banner("shop", "home", "new")
        yield store.delete_slot("shop", "cart")
        yield store.delete_key("k1")
        yield store.delete_tenant("new")

    @pytest.mark.parametrize("what", PUTS)
    def test_a_put_that_expects_another_version_changes_nothing(self, filled: Store, what: str) -> None:
        before = filled.configuration()
        for wrong in (before.version - 1, before.version + 1, 0):
            with pytest.raises(Conflict):
                PUTS[what](filled, wrong)
        assert filled.configuration() == before

    @pytest.mark.parametrize("what", PUTS)
    def test_of_two_puts_that_expect_the_same_version_the_first_wins(self, filled: Store, what: str) -> None:
        read = filled.configuration_version()
        PUTS[what](filled, read)
        with pytest.raises(Conflict):
            PUTS[what](filled, read)
        PUTS[what](filled, filled.configuration_version())

    def test_of_puts_at_the_same_moment_that_expect_the_same_version_one_wins(self, filled: Store) -> None:
        read, start, won = filled.configuration_version(), threading.Barrier(8), []

        def put(number: int) -> None:
            start.wait()
            with suppress(Conflict):
                filled.put_slot("shop", replace(SLOT, id=f"s{number}"), expected_version=read)
                won.append(f"s{number}")

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert set(filled.configuration().slots) == {("shop", "home"), ("mall", "home"), ("shop", won[0])}

    def test_deleting_what_is_absent_says_so_and_changes_nothing(self, filled: Store) -> None:
        before = filled.configuration()
        assert not filled.delete_tenant("nobody")
        assert not filled.delete_key("none")
        assert not filled.delete_slot("shop", "none")
        assert not filled.delete_banner("shop", "home", "none")
        assert filled.delete_seeds("shop", "home", "none") == 0
        assert filled.configuration() == before

    def test_a_deleted_tenant_takes_all_that_is_its_own_and_nothing_else(self, filled: Store) -> None:
        assert filled.delete_tenant("shop")
        configuration = filled.configuration()
        assert set(configuration.tenants) == {"mall"}
        assert set(configuration.keys) == {"key-of-mall"}
        assert set(configuration.slots) == {("mall", "home")}
        assert set(configuration.banners) == {("mall", "home")}
        assert filled.seeds("shop", "home") == []
        assert len(filled.seeds("mall", "home")) == 1

    def test_a_deleted_slot_takes_its_banners_and_seeds_only(self, filled: Store) -> None:
        filled.put_slot("shop", replace(SLOT, id="cart"))
        filled.put_banner("shop", replace(BANNER, slot="cart"))
        assert filled.delete_slot("shop", "home")
        configuration = filled.configuration()
        assert set(configuration.slots) == {("shop", "cart"), ("mall", "home")}
        assert set(configuration.banners) == {("shop", "cart"), ("mall", "home")}
        assert filled.seeds("shop", "home") == []

    def test_a_deleted_key_is_gone(self, filled: Store) -> None:
        assert filled.delete_key("key-of-shop")
        assert set(filled.configuration().keys) == {"key-of-mall"}

    def test_what_is_put_after_its_owner_was_deleted_does_not_show(self, filled: Store) -> None:
        filled.delete_tenant("shop")
        filled.put_slot("shop", SLOT)
        filled.put_banner("shop", BANNER)
        filled.put_key(KEY)
        filled.put_banner("mall", replace(BANNER, slot="nowhere"))
        configuration = filled.configuration()
        assert set(configuration.keys) == {"key-of-mall"}
        assert set(configuration.slots) == set(configuration.banners) == {("mall", "home")}

    def test_a_slot_without_banners_has_an_empty_entry(self, filled: Store) -> None:
        filled.put_slot("shop", replace(SLOT, id="cart"))
        assert filled.configuration().banners[("shop", "cart")] == {}

    @pytest.mark.parametrize("how", ["banner", "slot", "tenant"])
    def test_the_id_of_a_deleted_banner_stays_taken(self, filled: Store, how: str) -> None:
        assert not filled.banner_was_used("shop", "home", "sale")
        {
            "banner": lambda: filled.delete_banner("shop", "home", "sale"),
            "slot": lambda: filled.delete_slot("shop", "home"),
            "tenant": lambda: filled.delete_tenant("shop"),
        }[how]()
        assert filled.banner_was_used("shop", "home", "sale")
        assert not filled.banner_was_used("shop", "cart", "sale")
        assert not filled.banner_was_used("mall", "home", "sale")

    @pytest.mark.parametrize("how", ["slot", "tenant"])
    def test_the_id_of_a_deleted_slot_stays_taken(self, filled: Store, how: str) -> None:
        assert not filled.slot_was_used("shop", "home")
        if how == "slot":
            filled.delete_slot("shop", "home")
        else:
            filled.delete_tenant("shop")
        assert filled.slot_was_used("shop", "home")
        assert not filled.slot_was_used("shop", "cart")
        assert not filled.slot_was_used("mall", "home")

    def test_the_id_of_a_deleted_tenant_stays_taken(self, filled: Store) -> None:
        filled.delete_slot("shop", "home")
        assert not filled.tenant_was_used("shop")
        filled.delete_tenant("shop")
        assert filled.tenant_was_used("shop")
        assert not filled.tenant_was_used("mall")

    def test_a_tenant_and_a_slot_that_have_counts_were_used(self, filled: Store, sink: EventSink) -> None:
        deliver(sink, served(1))
        assert filled.tenant_was_used("shop") and filled.slot_was_used("shop", "home")
        assert not filled.slot_was_used("shop", "cart")
        assert not filled.tenant_was_used("mall") and not filled.slot_was_used("mall", "home")

    def test_a_banner_that_has_counts_was_used(self, filled: Store, sink: EventSink) -> None:
        deliver(sink, served(1))
        assert filled.banner_was_used("shop", "home", "sale")
        assert not filled.banner_was_used("shop", "home", "new")
        assert not filled.banner_was_used("mall", "home", "sale")

    def test_counts_and_clicks_survive_what_they_were_counted_for(self, filled: Store, sink: EventSink) -> None:
        deliver(sink, served(1), clicked(served(1)))
        filled.delete_banner("shop", "home", "sale")
        filled.delete_slot("shop", "home")
        filled.delete_tenant("shop")
        assert totals(filled) == (1, 1, 1)
        assert len(filled.clicks("shop", "Pune", DAY)) == 1

    def test_seeds_of_an_id_are_replaced_together(self, filled: Store) -> None:
        filled.put_seeds("shop", "home", "2025", [seed("2025"), seed("2025", "Delhi")])
        filled.put_seeds("shop", "home", "2025", [seed("2025", "Delhi", trials=7.25)])
        assert sorted(filled.seeds("shop", "home")) == [seed("2024"), seed("2025", "Delhi", trials=7.25)]
        assert filled.seeds("mall", "home") == [seed("2024")]

    def test_the_same_seeds_twice_change_nothing(self, filled: Store) -> None:
        seeds = [seed("2025"), seed("2025", "Delhi")]
        filled.put_seeds("shop", "home", "2025", seeds)
        version = filled.configuration_version()
        filled.put_seeds("shop", "home", "2025", reversed(seeds))
        assert filled.configuration_version() == version

    def test_seeds_are_put_whole_or_not_at_all(self, filled: Store) -> None:
        def breaks_off() -> Iterator[Seed]:
            yield seed("2024", "Delhi")
            raise RuntimeError("the source broke off")

        version = filled.configuration_version()
        with pytest.raises(RuntimeError, match="broke off"):
            filled.put_seeds("shop", "home", "2024", breaks_off())
        assert filled.seeds("shop", "home") == [seed("2024")]
        assert filled.configuration_version() == version

    def test_deleting_seeds_says_how_many_there_were(self, filled: Store) -> None:
        filled.put_seeds("shop", "home", "2025", [seed("2025"), seed("2025", "Delhi")])
        assert filled.delete_seeds("shop", "home", "2025") == 2
        assert filled.seeds("shop", "home") == [seed("2024")]
        assert filled.delete_seeds("mall", "home", "2025") == 0

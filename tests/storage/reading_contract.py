"""What every store must read back of what was counted, whoever counted it.

Needs the fixtures `store` and `sink`: what the sink takes counts in the store by the time it returns.
"""

from bandit.model import ALL_CITIES, OTHER, UNKNOWN, ClickRow, CountRow, ReferrerRow
from storage.base import EventSink, Store
from tests.storage.events import DAY, NOON_US, Log, clicked, deliver, served, totals, viewed

CUSTOMER, OTHER_CUSTOMER = b"customer", b"somebody"


class ReadingContract:
    """Counts, clicks and names."""

    def test_a_new_store_has_counted_nothing(self, store: Store) -> None:
        assert store.counts("shop", "home", DAY, DAY) == []
        assert store.referrer_counts("shop", "home", DAY, DAY) == []
        assert store.clicks("shop", "Pune", DAY) == []
        assert store.unrecognised_cities("shop") == []
        assert not store.changes(0).partitions

    def test_an_impression_its_view_and_its_click_are_found_in_their_cell(self, store: Store, sink: EventSink) -> None:
        impression = served(1, policy="holdout", referrer="mail")
        deliver(sink, impression, viewed(impression), clicked(impression))
        assert store.counts("shop", "home", DAY, DAY) == [CountRow(DAY, "holdout", "Pune", "sale", 1, 1, 1)]
        assert store.referrer_counts("shop", "home", DAY, DAY) == [ReferrerRow(DAY, "mail", "sale", 1, 1, 1)]

    def test_a_long_time_is_found_whole(self, store: Store, sink: EventSink) -> None:
        days = range(DAY - 400, DAY + 1)
        deliver(sink, *(served(day, day=day) for day in days))
        assert sorted(row.day for row in store.counts("shop", "home", days[0], DAY)) == list(days)
        assert store.counts("shop", "home", DAY, DAY - 1) == []

    def test_counts_are_asked_by_day_with_both_ends_included(self, store: Store, sink: EventSink) -> None:
        deliver(sink, *(served(number, day=DAY + number) for number in range(5)))
        assert sorted(row.day - DAY for row in store.counts("shop", "home", DAY + 1, DAY + 3)) == [1, 2, 3]
        assert sorted(row.day - DAY for row in store.referrer_counts("shop", "home", DAY + 1, DAY + 3)) == [1, 2, 3]

    def test_tenants_and_slots_are_kept_apart(self, store: Store, sink: EventSink) -> None:
        events = [served(1), served(2, tenant="mall"), served(3, slot="cart"), clicked(served(4, tenant="mall"))]
        deliver(sink, *events)
        assert totals(store, "shop", "home") == totals(store, "shop", "cart") == (1, 0, 0)
        assert totals(store, "mall", "home") == (1, 1, 1)
        assert [row.slot for row in store.clicks("mall", "Pune", DAY)] == ["home"]
        assert store.clicks("shop", "Pune", DAY) == []

    def test_shards_of_a_cell_are_summed(self, store: Store, sink: EventSink) -> None:
        sink.deliver([*Log(shard=0).records(served(1), served(2)), *Log(shard=3).records(served(3))])
        assert store.counts("shop", "home", DAY, DAY) == [CountRow(DAY, "learned", "Pune", "sale", 3, 0, 0)]
        assert store.referrer_counts("shop", "home", DAY, DAY) == [ReferrerRow(DAY, UNKNOWN, "sale", 3, 0, 0)]

    def test_a_day_of_all_cities_is_the_sum_of_its_cells(self, store: Store, sink: EventSink) -> None:
        here, there = served(1), served(2, city="Delhi")
        deliver(sink, here, there, served(3, policy="holdout"), served(4, banner="tea"), clicked(there))
        sink.deliver(Log(shard=3).records(viewed(here), served(5, day=DAY + 1), served(6, tenant="mall")))
        assert sorted(store.daily_counts("shop", "home", DAY, DAY)) == [
            CountRow(DAY, "holdout", ALL_CITIES, "sale", 1, 0, 0),
            CountRow(DAY, "learned", ALL_CITIES, "sale", 2, 2, 1),
            CountRow(DAY, "learned", ALL_CITIES, "tea", 1, 0, 0),
        ]
        assert [row.day - DAY for row in store.daily_counts("shop", "home", DAY + 1, DAY + 9)] == [1]

    def test_clicks_hold_all_that_is_known_and_come_by_time_of_receipt(self, store: Store, sink: EventSink) -> None:
        impression = served(1, customer=CUSTOMER, referrer="mail")
        later, sooner = clicked(impression, received_at=NOON_US + 9), clicked(served(2), received_at=NOON_US + 8)
        deliver(sink, later, sooner, clicked(served(3, city="Delhi")), clicked(served(4, day=DAY + 1)))
        assert store.clicks("shop", "Pune", DAY) == [
            ClickRow(NOON_US + 8, NOON_US, sooner.impression_id, "home", "Pune", "sale", None, None),
            ClickRow(NOON_US + 9, NOON_US, impression.impression_id, "home", "Pune", "sale", CUSTOMER, "mail"),
        ]

    def test_of_many_clicks_the_latest_can_be_asked_for(self, store: Store, sink: EventSink) -> None:
        deliver(sink, *(clicked(served(number), received_at=NOON_US + number % 4) for number in range(8)))
        every = store.clicks("shop", "Pune", DAY)
        assert [click.received_at - NOON_US for click in every] == [0, 0, 1, 1, 2, 2, 3, 3]
        for limit in (0, 1, 3, 8, 9):
            assert store.clicks("shop", "Pune", DAY, limit=limit) == every[8 - min(limit, 8) :]

    def test_changes_name_what_was_counted_since_the_cursor(self, store: Store, sink: EventSink) -> None:
        deliver(sink, served(1), served(2, tenant="mall", day=DAY + 1))
        first = store.changes(0)
        assert first.partitions in (None, {("shop", "home", DAY), ("mall", "home", DAY + 1)})
        assert not store.changes(first.cursor).partitions
        deliver(sink, clicked(served(1)), served(3, tenant="mall", verdict="bot"), journal=8)
        second = store.changes(first.cursor)
        assert second.partitions in (None, {("shop", "home", DAY)})
        assert not store.changes(second.cursor).partitions

    def test_unrecognised_cities_are_listed_by_their_impressions(self, store: Store, sink: EventSink) -> None:
        named = [served(number, city=OTHER, unrecognised_city="Atlantis") for number in range(3)]
        deliver(sink, *named, served(3, city=OTHER, unrecognised_city="Avalon"), viewed(named[0]), clicked(named[0]))
        deliver(sink, served(4, unrecognised_city="Botville", verdict="bot"), journal=8)
        assert store.unrecognised_cities("shop") == [("Atlantis", 3), ("Avalon", 1)]
        assert store.unrecognised_cities("mall") == []

    def test_a_forgotten_customer_is_in_no_click_of_this_tenant_and_counts_stay(
        self, store: Store, sink: EventSink
    ) -> None:
        mine = served(1, customer=CUSTOMER)
        others = [served(2, customer=OTHER_CUSTOMER), served(3, customer=CUSTOMER, tenant="mall")]
        deliver(sink, mine, clicked(mine), *others, *map(clicked, others))
        assert store.forget_customer("shop", CUSTOMER) > 0
        assert store.forget_customer("shop", CUSTOMER) == 0
        assert [row.customer for row in store.clicks("shop", "Pune", DAY)] == [None, OTHER_CUSTOMER]
        assert [row.customer for row in store.clicks("mall", "Pune", DAY)] == [CUSTOMER]
        assert totals(store) == (2, 2, 2)

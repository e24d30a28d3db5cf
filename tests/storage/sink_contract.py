"""What every sink must do with journaled records, seen through the store they are counted in."""

import random
from collections.abc import Callable

import pytest

from bandit.event import BannerEvent
from bandit.model import MAX_REFERRERS, OTHER, UNKNOWN, CountRow, ReferrerRow, Verdict
from storage.base import EventSink, Record, Store
from tests.storage.events import (
    DAY,
    NOON_US,
    SECOND_US,
    Log,
    Model,
    all_rows,
    batches,
    clicked,
    deliver,
    random_events,
    served,
    totals,
    viewed,
)

REJECTED = [verdict.value for verdict in Verdict if verdict != Verdict.ACCEPTED]
SLOTS = [(tenant, slot) for tenant in ("shop", "mall") for slot in ("home", "cart")]
CUSTOMER, OTHER_CUSTOMER = b"customer", b"somebody"


class CountingContract:
    """What counts, where, and how often."""

    def test_an_impression_its_view_and_its_click_count_in_its_cell(self, store: Store, sink: EventSink) -> None:
        impression = served(1, policy="holdout", referrer="mail")
        deliver(sink, impression, viewed(impression), clicked(impression))
        assert store.counts("shop", "home", DAY, DAY) == [CountRow(DAY, "holdout", "Pune", "sale", 1, 1, 1)]
        assert store.referrer_counts("shop", "home", DAY, DAY) == [ReferrerRow(DAY, "mail", "sale", 1, 1, 1)]

    @pytest.mark.parametrize("verdict", REJECTED)
    def test_a_rejected_event_never_counts(self, store: Store, sink: EventSink, verdict: str) -> None:
        impression = served(1, customer=CUSTOMER, verdict=verdict)
        deliver(sink, impression, viewed(impression), clicked(impression))
        assert totals(store) == (0, 0, 0)
        assert store.clicks("shop", "Pune", DAY) == []

    def test_a_rejected_click_does_not_take_the_place_of_an_accepted_one(self, store: Store, sink: EventSink) -> None:
        deliver(sink, served(1), clicked(served(1), verdict="too_fast"), clicked(served(1)))
        assert totals(store) == (1, 1, 1)

    def test_repeated_views_and_clicks_count_once(self, store: Store, sink: EventSink) -> None:
        feedback = [make(served(1)) for make in (viewed, clicked) for _ in range(3)]
        deliver(sink, served(1), *feedback)
        deliver(sink, *feedback, journal=8)
        assert totals(store) == (1, 1, 1)
        assert len(store.clicks("shop", "Pune", DAY)) == 1

    def test_a_click_implies_a_view_where_none_is_claimed(self, store: Store, sink: EventSink) -> None:
        deliver(sink, served(1), clicked(served(1)), viewed(served(1)))
        assert totals(store) == (1, 1, 1)

    def test_a_click_may_arrive_before_its_impression(self, store: Store, sink: EventSink) -> None:
        deliver(sink, clicked(served(1)))
        deliver(sink, served(1), journal=8)
        assert totals(store) == (1, 1, 1)

    def test_random_streams_add_up_to_the_counting_rule(self, store: Store, sink: EventSink) -> None:
        rng, model = random.Random(11), Model()
        events = random_events(rng, 400)
        for event in events:
            model.take(event)
        for batch in batches(rng, Log().records(*events), 150):
            assert sink.deliver(batch) == []
        found = all_rows(store, SLOTS)
        assert found == {key: model.rows(*key) for key in SLOTS}
        for row in (row for rows in found.values() for row in rows):
            assert row.clicks <= row.viewed <= row.served

    def test_random_streams_add_up_by_referrer(self, store: Store, sink: EventSink) -> None:
        rng, model = random.Random(12), Model()
        events = random_events(rng, 200)
        for event in events:
            model.take(event)
        sink.deliver(Log().records(*events))
        rows = [(key, row) for key in SLOTS for row in store.referrer_counts(*key, DAY, DAY + 1)]
        for (tenant, slot), row in rows:
            place = (tenant, slot, row.day, row.referrer, row.banner)
            assert [model.by_referrer[(*place, column)] for column in ("served", "viewed", "clicked")] == [*row[3:]]
        assert sum(sum(row[3:]) for _, row in rows) == model.by_referrer.total()


class DeliveryContract:
    """Records that come again, out of order, or broken."""

    def test_a_batch_delivered_again_counts_once(self, store: Store, sink: EventSink) -> None:
        batch = Log().records(served(1), clicked(served(1)), served(2))
        assert sink.deliver(batch) == sink.deliver(batch) == []
        assert totals(store) == (2, 1, 1)

    def test_a_batch_delivered_again_in_part_and_cut_differently_counts_once(
        self, store: Store, sink: EventSink
    ) -> None:
        rng = random.Random(13)
        records = Log().records(*random_events(rng, 150))
        sink.deliver(records)
        once = all_rows(store, SLOTS)
        for _ in range(20):
            start = rng.randrange(len(records))
            sink.deliver(records[start : start + rng.randint(1, 100)])
        assert all_rows(store, SLOTS) == once

    def test_a_record_twice_in_one_batch_counts_once(self, store: Store, sink: EventSink) -> None:
        sink.deliver(Log().records(served(1)) * 2)
        assert totals(store) == (1, 0, 0)

    def test_journals_and_shards_number_their_records_independently(self, store: Store, sink: EventSink) -> None:
        logs = [Log(journal, shard) for journal in (1, 2**63 - 1) for shard in (0, 65_534)]
        sink.deliver([record for number, log in enumerate(logs) for record in log.records(served(number))])
        assert totals(store) == (4, 0, 0)

    def test_segments_of_a_journal_may_come_in_any_order(self, store: Store, sink: EventSink) -> None:
        rng = random.Random(14)
        parts = list(batches(rng, Log().records(*(served(number) for number in range(200))), 20))
        for part in rng.sample(parts, len(parts)) + rng.sample(parts, len(parts)):
            assert sink.deliver(part) == []
        assert totals(store) == (200, 0, 0)

    def test_a_record_that_cannot_be_read_is_refused_and_the_others_are_taken(
        self, store: Store, sink: EventSink
    ) -> None:
        first, second = Log().records(served(1), clicked(served(1)))
        broken = [Record(0, payload) for payload in (b"", b"\xff" * 40, first.payload[:-1], first.payload + b"\0")]
        refusals = sink.deliver([broken[0], first, *broken[1:], second])
        assert [refusal.record for refusal in refusals] == broken
        assert all(refusal.reason for refusal in refusals)
        assert totals(store) == (1, 1, 1)

    def test_a_refused_record_is_taken_once_it_is_mended(self, store: Store, sink: EventSink) -> None:
        records = Log().records(served(1), served(2), served(3))
        sink.deliver([records[0], Record(0, b"broken"), records[2]])
        sink.deliver([records[1]])
        sink.deliver([records[1]])
        assert totals(store) == (3, 0, 0)

    def test_a_record_that_no_journal_numbered_is_refused(self, store: Store, sink: EventSink) -> None:
        unnumbered = [*Log(journal=0).records(served(1)), *Log(sequence=-1).records(served(1))]
        assert [refusal.record for refusal in sink.deliver(unnumbered)] == unnumbered
        assert totals(store) == (0, 0, 0)

    def test_no_bytes_stop_a_delivery(self, store: Store, sink: EventSink) -> None:
        rng = random.Random(15)
        (good,) = Log().records(served(1, customer=CUSTOMER, referrer="mail", unrecognised_city="Poona"))
        garbled = [bytearray(good.payload) for _ in range(3000)]
        for payload in garbled:
            for _ in range(rng.randint(1, 4)):
                payload[rng.randrange(len(payload))] = rng.randrange(256)
        sink.deliver([Record(0, bytes(payload)) for payload in garbled])
        deliver(sink, served(2, tenant="unharmed"), journal=2**62)
        assert totals(store, "unharmed") == (1, 0, 0)

    def test_an_empty_delivery_is_no_news(self, store: Store, sink: EventSink) -> None:
        assert sink.deliver([]) == []
        assert not store.changes(0).partitions


class EventSinkContract(CountingContract, DeliveryContract):
    """What else is kept of events, and for how long."""

    def test_a_rejected_event_is_kept(self, store: Store, sink: EventSink) -> None:
        impression = served(1, customer=CUSTOMER, verdict="bot")
        deliver(sink, impression, viewed(impression), clicked(impression))
        assert store.forget_customer("shop", CUSTOMER) == 3

    def test_referrers_past_the_limit_count_as_other_for_good(self, store: Store, sink: EventSink) -> None:
        impressions = [served(number, referrer=f"r{number}") for number in range(MAX_REFERRERS + 50)]
        deliver(sink, *impressions, served(9_000, referrer=f"r{MAX_REFERRERS + 1}", tenant="mall"))
        deliver(sink, *map(clicked, impressions), served(9_001, referrer="r3"), served(9_002), journal=8)
        rows = {row.referrer: row[3:] for row in store.referrer_counts("shop", "home", DAY, DAY)}
        assert len(rows) == MAX_REFERRERS + 2
        assert (rows[OTHER], rows["r3"], rows[UNKNOWN]) == ((50, 50, 50), (2, 1, 1), (1, 0, 0))
        assert [row.referrer for row in store.referrer_counts("mall", "home", DAY, DAY)] == [f"r{MAX_REFERRERS + 1}"]

    def test_a_click_keeps_its_referrers_name_past_the_limit(self, store: Store, sink: EventSink) -> None:
        deliver(sink, *(served(number, referrer=f"r{number}") for number in range(MAX_REFERRERS)))
        deliver(sink, clicked(served(999, referrer="late")), journal=8)
        assert [row.referrer for row in store.clicks("shop", "Pune", DAY)] == ["late"]

    def test_an_uncounted_referrer_takes_no_place(self, store: Store, sink: EventSink) -> None:
        bots = (served(number, referrer=f"bot{number}", verdict="bot") for number in range(MAX_REFERRERS))
        deliver(sink, *bots, served(999, referrer="mail"))
        assert [row.referrer for row in store.referrer_counts("shop", "home", DAY, DAY)] == ["mail"]

    def test_unrecognised_cities_are_at_most_a_thousand_a_tenant(self, store: Store, sink: EventSink) -> None:
        popular = [served(number, city=OTHER, unrecognised_city="Atlantis") for number in range(2)]
        flood = [served(number, city=OTHER, unrecognised_city=f"city {number}") for number in range(2, 1502)]
        deliver(sink, *flood[:700], *popular, *flood[700:])
        cities = store.unrecognised_cities("shop")
        assert len(cities) == 1000
        assert cities[0] == ("Atlantis", 2)

    def test_a_forgotten_customer_is_erased_from_this_tenant_and_counts_stay(
        self, store: Store, sink: EventSink
    ) -> None:
        mine = served(1, customer=CUSTOMER)
        others = [served(2, customer=OTHER_CUSTOMER), served(3, customer=CUSTOMER, tenant="mall")]
        deliver(sink, mine, clicked(mine), *others, *map(clicked, others))
        assert store.forget_customer("shop", CUSTOMER) == 3  # two events and a click
        assert store.forget_customer("shop", CUSTOMER) == 0
        assert [row.customer for row in store.clicks("shop", "Pune", DAY)] == [None, OTHER_CUSTOMER]
        assert [row.customer for row in store.clicks("mall", "Pune", DAY)] == [CUSTOMER]
        assert totals(store) == (2, 2, 2)
        assert store.forget_customer("mall", CUSTOMER) == 3

    def test_pruning_takes_old_events_and_claims_in_small_steps(self, store: Store, sink: EventSink) -> None:
        impressions = [served(number, served_at=NOON_US + number * SECOND_US) for number in range(10)]
        deliver(sink, *impressions, *map(clicked, impressions))
        # Before second 7: seven impressions and the clicks (five seconds later) on the first two.
        limits = {"events_before": NOON_US + 7 * SECOND_US, "claims_before": NOON_US + 3 * SECOND_US}
        removed = []
        while step := store.prune(**limits, limit=4):
            removed.append(step)
        assert max(removed) <= 8
        assert sum(removed) == 9 + 2 * 3
        assert totals(store) == (10, 10, 10)
        assert len(store.clicks("shop", "Pune", DAY)) == 10

    def test_pruning_never_counts_a_delivery_again(self, store: Store, sink: EventSink) -> None:
        records = Log().records(served(1), clicked(served(1)))
        sink.deliver(records)
        store.prune(events_before=2 * NOON_US, claims_before=2 * NOON_US, limit=100)
        assert sink.deliver(records) == []
        assert totals(store) == (1, 1, 1)

    @pytest.mark.parametrize("make", [viewed, clicked])
    def test_feedback_whose_claim_may_be_pruned_is_refused_however_often_it_comes(
        self, store: Store, sink: EventSink, make: Callable[[BannerEvent], BannerEvent]
    ) -> None:
        old, young = served(1), served(2, served_at=NOON_US + SECOND_US)
        deliver(sink, old, young, clicked(old))
        for claims_before in (NOON_US + SECOND_US, NOON_US):  # asking for less brings no claim back
            store.prune(events_before=0, claims_before=claims_before, limit=100)
        repeated = Log(8).records(make(old), make(young))
        for _ in range(2):
            assert [refusal.record for refusal in sink.deliver(repeated)] == repeated[:1]
        assert totals(store)[:2] == (2, 2)

    def test_impressions_and_rejected_feedback_are_taken_however_old(self, store: Store, sink: EventSink) -> None:
        store.prune(events_before=0, claims_before=2 * NOON_US, limit=100)
        deliver(sink, served(1, customer=CUSTOMER), clicked(served(1, customer=CUSTOMER), verdict="late"))
        assert totals(store) == (1, 0, 0)
        assert store.forget_customer("shop", CUSTOMER) == 2

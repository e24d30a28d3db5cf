"""What every store must tell of what was drawn, and from what."""

from bandit.model import SampledRow, WouldBeRow
from storage.base import EventSink, Store
from tests.storage.events import DAY, Log, clicked, deliver, served


class DecisionsContract:
    """Needs the fixtures `store` and `sink`."""

    def test_draws_are_summed_up_by_what_they_were_drawn_from(self, store: Store, sink: EventSink) -> None:
        deliver(sink, *[served(number, eligible="sale new", propensity=0.5, city=f"c{number}") for number in range(3)])
        deliver(sink, served(3, eligible="sale new", propensity=0.25), served(4, eligible="sale"), journal=8)
        assert sorted(store.sampled("shop", "home", DAY, DAY)) == [
            SampledRow(DAY, "sale", "sale", 1, 2.0, 4.0, 2.0),
            SampledRow(DAY, "sale new", "sale", 4, 10.0, 28.0, 4.0),
        ]
        assert store.sampled("mall", "home", DAY, DAY) == store.sampled("shop", "home", DAY + 1, DAY + 9) == []

    def test_a_batch_that_comes_twice_is_summed_up_once(self, store: Store, sink: EventSink) -> None:
        records = Log().records(*[served(number, eligible="sale new") for number in range(5)])
        for _ in range(3):
            assert sink.deliver(records) == []
        assert [row.decisions for row in store.sampled("shop", "home", DAY, DAY)] == [5]

    def test_only_impressions_that_count_and_were_drawn_are_summed_up(self, store: Store, sink: EventSink) -> None:
        impression = served(1, eligible="sale new")
        deliver(
            sink,
            impression,
            clicked(impression, eligible="sale new"),
            served(2, eligible="sale new", verdict="bot"),
            served(3, policy="fixed", reason="pinned", propensity=1.0),
            served(4, eligible="sale new", propensity=0.0),
        )
        assert [row.decisions for row in store.sampled("shop", "home", DAY, DAY)] == [1]

    def test_in_shadow_what_would_have_been_drawn_is_summed_up(self, store: Store, sink: EventSink) -> None:
        shadow = {"policy": "fixed", "reason": "shadow", "eligible": "sale new", "would_be_banner": "new"}
        deliver(
            sink, *[served(number, **shadow, propensity=0.5) for number in range(3)], served(9, **shadow, city="Goa")
        )
        assert sorted(store.would_be("shop", "home", DAY, DAY)) == [
            WouldBeRow(DAY, "Goa", "new", 1),
            WouldBeRow(DAY, "Pune", "new", 3),
        ]
        (sampled,) = store.sampled("shop", "home", DAY, DAY)
        assert (sampled.banner, sampled.decisions, sampled.inverse) == ("new", 4, 8.0)

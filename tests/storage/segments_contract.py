"""What every store must do with segments of customers."""

from collections.abc import Iterator

import pytest

from bandit.model import SegmentRow
from storage.base import Store
from tests.storage.events import DAY


class SegmentsContract:
    """Needs the fixture `store`."""

    def test_segments_come_back_and_are_replaced_together(self, store: Store) -> None:
        row = SegmentRow(DAY, "s1", "sale", 10, 5, 1)
        store.put_segments("shop", 1, [(b"customer", "s1"), (b"another!", "s2")], [("home", row)])
        assert sorted(store.customer_segments("shop")) == [(b"another!", "s2"), (b"customer", "s1")]
        assert store.segment_counts("shop", "home", DAY, DAY) == [row]
        store.put_segments("shop", 2, [(b"customer", "s3")], [("home", row._replace(segment="s3"))])
        assert list(store.customer_segments("shop")) == [(b"customer", "s3")]
        assert [one.segment for one in store.segment_counts("shop", "home", DAY, DAY)] == ["s3"]

    def test_segments_of_other_tenants_slots_and_days_are_apart(self, store: Store) -> None:
        row = SegmentRow(DAY, "s1", "sale", 10, 5, 1)
        store.put_segments("shop", 1, [(b"customer", "s1")], [("home", row)])
        assert list(store.customer_segments("mall")) == []
        assert store.segment_counts("mall", "home", DAY, DAY) == []
        assert store.segment_counts("shop", "cart", DAY, DAY) == []
        assert store.segment_counts("shop", "home", DAY + 1, DAY + 9) == []

    def test_a_run_that_broke_off_is_not_read(self, store: Store) -> None:
        def breaks_off() -> Iterator[tuple[bytes, str]]:
            yield b"customer", "s9"
            raise RuntimeError

        store.put_segments("shop", 1, [(b"customer", "s1")], [])
        with pytest.raises(RuntimeError):
            store.put_segments("shop", 2, breaks_off(), [])
        assert list(store.customer_segments("shop")) == [(b"customer", "s1")]

    def test_a_forgotten_customer_is_in_no_segment(self, store: Store) -> None:
        store.put_segments("shop", 1, [(b"customer", "s1"), (b"another!", "s1")], [])
        assert store.forget_customer("shop", b"customer") == 1
        assert list(store.customer_segments("shop")) == [(b"another!", "s1")]

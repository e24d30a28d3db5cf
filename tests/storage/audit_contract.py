"""What the audit log of every store must do; see contract."""

from bandit.model import ChangeRecord
from storage.base import Store
from tests.storage.configured import TENANT

RECORD = ChangeRecord(
    1_750_000_000_000_001, "k1", "admin", "Asha", "changed", "banner home/sale", "weight: 1.0 → 2.5; alt: → 'पुणे'"
)


class AuditContract:
    """The audit log. Needs the fixture `store`, an empty one."""

    def test_what_was_recorded_comes_back_as_it_was(self, store: Store) -> None:
        assert store.recorded_changes("shop", limit=10) == []
        store.record_change("shop", RECORD)
        assert store.recorded_changes("shop", limit=10) == [RECORD]

    def test_the_latest_changes_come_first_and_the_oldest_are_cut_off(self, store: Store) -> None:
        records = [RECORD._replace(changed_at=at, subject=f"slot s{at}") for at in (3, 1, 5, 2, 4)]
        for record in records:
            store.record_change("shop", record)
        assert [each.changed_at for each in store.recorded_changes("shop", limit=3)] == [5, 4, 3]
        assert len(store.recorded_changes("shop", limit=100)) == 5

    def test_changes_of_one_moment_are_all_kept_the_last_one_first(self, store: Store) -> None:
        for number in range(4):
            store.record_change("shop", RECORD._replace(subject=f"slot s{number}"))
        found = [each.subject for each in store.recorded_changes("shop", limit=10)]
        assert found == ["slot s3", "slot s2", "slot s1", "slot s0"]

    def test_every_tenant_and_the_operators_have_a_log_of_their_own(self, store: Store) -> None:
        store.record_change("shop", RECORD)
        store.record_change(None, RECORD._replace(subject="tenant mall"))
        assert store.recorded_changes("mall", limit=10) == []
        assert store.recorded_changes("shop", limit=10) == [RECORD]
        assert [each.subject for each in store.recorded_changes(None, limit=10)] == ["tenant mall"]

    def test_the_log_outlives_its_tenant(self, store: Store) -> None:
        store.put_tenant("shop", TENANT)
        store.record_change("shop", RECORD)
        store.delete_tenant("shop")
        assert store.recorded_changes("shop", limit=10) == [RECORD]

    def test_recording_is_no_change_of_the_configuration(self, store: Store) -> None:
        before = store.configuration_version()
        store.record_change("shop", RECORD)
        assert store.configuration_version() == before

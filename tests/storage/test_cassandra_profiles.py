"""How statements reach Cassandra: agreed on by whom, sent to whom, repeated by whom; as the driver knows it."""

from collections.abc import Iterator

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import ExecutionProfile
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)

from storage.cassandra_session import COUNTING, PROFILES, SERVING, CassandraOptions, CassandraSession
from storage.cassandra_tables import READ_VERSION

Profiles = dict[str, ExecutionProfile]


@pytest.fixture
def session(keyspace: CassandraOptions) -> Iterator[CassandraSession]:
    opened = CassandraSession(keyspace)
    opened.run(READ_VERSION)
    yield opened
    opened.close()


@pytest.fixture
def profiles(session: CassandraSession) -> Profiles:
    found = session._connected().cluster.profile_manager.profiles
    return {name: found[name] for name in PROFILES}


def test_the_version_of_the_protocol_is_not_tried_out(session: CassandraSession) -> None:
    cluster = session._connected().cluster
    assert (cluster.protocol_version, cluster._protocol_version_explicit) == (4, True)


def test_what_visitors_wait_for_comes_soon_and_from_one_replica(profiles: Profiles) -> None:
    serving = profiles[SERVING]
    assert serving.consistency_level == ConsistencyLevel.LOCAL_ONE
    assert serving.request_timeout <= 2
    assert isinstance(serving.speculative_execution_policy, ConstantSpeculativeExecutionPolicy)


def test_what_counts_is_agreed_on_in_the_data_centre(profiles: Profiles) -> None:
    assert profiles[COUNTING].consistency_level == ConsistencyLevel.LOCAL_QUORUM


def test_the_driver_repeats_nothing_and_goes_to_the_replicas_of_its_data_centre(
    profiles: Profiles, keyspace: CassandraOptions
) -> None:
    for name, profile in profiles.items():
        assert isinstance(profile.retry_policy, FallthroughRetryPolicy), name
        policy = profile.load_balancing_policy
        assert isinstance(policy, TokenAwarePolicy), name
        assert isinstance(policy._child_policy, DCAwareRoundRobinPolicy), name
        assert policy._child_policy.local_dc == keyspace.datacenter

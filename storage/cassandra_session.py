"""One process's access to Cassandra: connected when first used, statements prepared once, retries bounded and our own.

The driver resends a statement to the next host whatever it does, and a write that timed out may have been applied. So
its retries are off; a statement that may be repeated is repeated here, a few times, and every error that is left
becomes StoreUnavailable.
"""

import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    DriverException,
    InvalidRequest,
    Unauthorized,
    UnresolvableContactPoints,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, ExecutionProfile, NoHostAvailable, PreparedStatement, ResponseFuture, Session
from cassandra.connection import ConnectionException
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BatchStatement, BatchType, BoundStatement, tuple_factory

from storage.base import StoreUnavailable

Row = tuple[Any, ...]
Parameters = Sequence[object] | Mapping[str, object]
"""In their order, or by name."""
Request = tuple[str, Parameters]
"""A statement and what is bound to it."""


class Together(NamedTuple):
    """Writes that travel as one unlogged batch, each with its own stamp: acknowledged when all are, and after an error
    any may be done."""

    requests: Sequence[Request]


DRIVER_ERRORS = (DriverException, ConnectionException, NoHostAvailable, OSError)
"""A connection that its heartbeat gave up is none of the driver's own exceptions."""

PROTOCOL_VERSION = 4
"""Pinned, since trying versions out takes a connection each; spoken by everything from Cassandra 3 to 5."""
CONNECT_SECONDS = 3.0
AGREEMENT_SECONDS = 30.0
"""Nodes hear of a new table from each other; on a busy machine that takes its time."""
RECONNECT_SECONDS = 1.0
"""How long a failed connection is not tried again, and the driver's pause for hosts that are down."""
HEARTBEAT_SECONDS = 10
CONCURRENCY = 64
"""Statements of `run_many` under way at once."""


class Profile(NamedTuple):
    """How a kind of statement is executed."""

    consistency: int
    serial: int
    timeout_seconds: float
    attempts: int
    speculative: bool = False
    """Ask a second host when the first takes long."""


SERVING, POLLING, COUNTING, CONFIGURING, DECIDING = "serving", "polling", "counting", "configuring", "deciding"
PROFILES = {
    # What web workers read every few seconds: soon, from the nearest, rather the last state than a wait.
    SERVING: Profile(ConsistencyLevel.LOCAL_ONE, ConsistencyLevel.LOCAL_SERIAL, 2.0, 2, speculative=True),
    # What has to be seen by every web worker within seconds: a revoked key.
    POLLING: Profile(ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_SERIAL, 2.0, 2, speculative=True),
    # What consumers read and write: a quorum of the data centre they all are in.
    COUNTING: Profile(ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_SERIAL, 5.0, 3),
    # Changes of configuration: rare, and agreed on by all data centres.
    CONFIGURING: Profile(ConsistencyLevel.QUORUM, ConsistencyLevel.SERIAL, 10.0, 3),
    # The latest decided state, whatever became of those who decided it. For reading only.
    DECIDING: Profile(ConsistencyLevel.SERIAL, ConsistencyLevel.SERIAL, 10.0, 3),
}
SPECULATIVE_SECONDS, SPECULATIVE_HOSTS = 0.1, 2
PAUSE_SECONDS = 0.1
"""Before the second attempt; twice as long before each further one."""


class OutcomeUnknown(StoreUnavailable):
    """A conditional write was sent and its answer lost: it may have been applied."""


class SchemaMissing(StoreUnavailable):
    """The keyspace or a table is not there."""


@dataclass(frozen=True, slots=True)
class CassandraOptions:
    """Where Cassandra is, and how to log in."""

    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9042
    keyspace: str = "banner"
    datacenter: str = "datacenter1"
    """Of this process; reads and counts stay in it."""
    username: str = ""
    """Empty: no login."""
    password: str = ""
    tls: str = "off"
    """off; chain: the certificate must be signed by tls_ca; full: and must name the host's address."""
    tls_ca: str = ""
    """File of trusted certificates; empty: those of the system. The next two are of the client, where it needs one."""
    tls_certificate: str = ""
    tls_key: str = ""


class CassandraSession:
    """May be used by any number of threads; connects when first used, also anew in a child after a fork."""

    def __init__(self, options: CassandraOptions, *, keyspace: str | None = None) -> None:
        """`keyspace` replaces that of the options; empty means none, for a keyspace that has yet to be made."""
        self._options = options
        self._keyspace = options.keyspace if keyspace is None else keyspace
        self._lock = threading.Lock()
        self._pid = 0
        self._session: Session | None = None
        self._prepared: dict[str, PreparedStatement] = {}
        self._closed = False
        self._failed_at = -RECONNECT_SECONDS
        self._failure = ""

    def run(self, statement: str, parameters: Parameters = (), profile: str = SERVING) -> list[Row]:
        """All rows it answers. It must be one that may be repeated. Raises StoreUnavailable."""
        return self.run_many([(statement, parameters)], profile)[0]

    def run_many(self, requests: Sequence[Request | Together], profile: str = SERVING) -> list[list[Row]]:
        """The rows of each, several under way at once and in no order. Raises StoreUnavailable: any may be done."""
        answers: list[list[Row]] = [[] for _ in requests]
        left: Sequence[int] = range(len(requests))
        attempts, pause = PROFILES[profile].attempts, PAUSE_SECONDS
        for attempt in range(attempts):
            failed = self._attempt(requests, left, answers, profile)
            if not failed:
                return answers
            _raise_if_hopeless(failed.values())
            if attempt < attempts - 1:
                time.sleep(pause)
                pause *= 2
            left = list(failed)
        raise _unavailable(next(iter(failed.values())))

    def compare_and_set(self, statement: str, parameters: Parameters) -> bool:
        """Whether the conditional statement was applied; executed once. Raises OutcomeUnknown, StoreUnavailable."""
        session = self._connected()
        try:
            bound = self._prepare(session, statement).bind(parameters)
        except DRIVER_ERRORS as error:
            raise _unavailable(error) from error
        try:
            return bool(session.execute(bound, execution_profile=CONFIGURING).was_applied)
        except DRIVER_ERRORS as error:
            if isinstance(error, NoHostAvailable) and not error.errors:  # there was nobody to send it to
                raise _unavailable(error) from error
            raise OutcomeUnknown(f"Cassandra: {error}") from error

    def define(self, statement: str) -> None:
        """Execute one statement of the schema, which is not prepared, and wait until all nodes know of it. Raises
        StoreUnavailable."""
        session = self._connected()
        try:
            future = session.execute_async(statement, execution_profile=CONFIGURING, timeout=60.0)
            future.result()
        except DRIVER_ERRORS as error:
            raise _unavailable(error) from error
        if not future.is_schema_agreed:
            raise StoreUnavailable("Cassandra: its nodes do not agree on the tables yet; run the command again")

    def close(self) -> None:
        """Disconnect; it is not used again."""
        with self._lock:
            self._closed = True
            session, self._session = self._session, None
            if session is not None and self._pid == os.getpid():
                session.cluster.shutdown()

    def _attempt(
        self,
        requests: Sequence[Request | Together],
        numbers: Sequence[int],
        answers: list[list[Row]],
        profile: str,
    ) -> dict[int, Exception]:
        """Execute those requests and fill in their answers; the errors of the others."""
        session = self._connected()
        failed: dict[int, Exception] = {}
        try:
            bound = [self._bind(session, requests[number]) for number in numbers]
        except DRIVER_ERRORS as error:
            return dict.fromkeys(numbers, error)
        # Not the driver's execute_concurrent: where answers come fast it recurses, and a RecursionError then puts one
        # result in twice, so that the others belong to the wrong statements.
        under_way: deque[tuple[int, ResponseFuture]] = deque()

        def take_oldest() -> None:
            number, future = under_way.popleft()
            try:
                answers[number] = list(future.result())  # also what comes on further pages
            except DRIVER_ERRORS as error:
                failed[number] = error

        for number, statement in zip(numbers, bound, strict=True):
            if len(under_way) == CONCURRENCY:
                take_oldest()
            under_way.append((number, session.execute_async(statement, execution_profile=profile)))
        while under_way:
            take_oldest()
        return failed

    def _bind(self, session: Session, request: Request | Together) -> BoundStatement | BatchStatement:
        if not isinstance(request, Together):
            statement, parameters = request
            return self._prepare(session, statement).bind(parameters)
        batch = BatchStatement(BatchType.UNLOGGED)
        for statement, parameters in request.requests:
            batch.add(self._prepare(session, statement).bind(parameters))
        return batch

    def _prepare(self, session: Session, statement: str) -> PreparedStatement:
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = session.prepare(statement)
            prepared.is_idempotent = True  # allows speculation; nothing else here looks at it
            self._prepared[statement] = prepared
        return prepared

    def _connected(self) -> Session:
        """The session of this process. Raises StoreUnavailable."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store was closed")
            if self._session is None or self._pid != os.getpid():
                # A session from before a fork hangs for ever; its threads stayed in the parent.
                self._prepared = {}
                self._session = self._connect()
                self._pid = os.getpid()
            return self._session

    def _connect(self) -> Session:
        if time.monotonic() < self._failed_at + RECONNECT_SECONDS:
            raise StoreUnavailable(self._failure)
        cluster = None
        try:
            cluster = _cluster(self._options)
            session = cluster.connect()
            _check_datacenter(cluster, self._options.datacenter)
            if self._keyspace:
                session.execute(f"USE {self._keyspace}", execution_profile=CONFIGURING)
            return session
        except (*DRIVER_ERRORS, StoreUnavailable) as error:
            if cluster is not None:
                cluster.shutdown()
            unavailable = _unavailable(error)
            self._failed_at, self._failure = time.monotonic(), str(unavailable)
            raise unavailable from error


def _check_datacenter(cluster: Cluster, wanted: str) -> None:
    found = {host.datacenter for host in cluster.metadata.all_hosts()}
    if wanted not in found:
        names = ", ".join(sorted(map(str, found)))
        raise StoreUnavailable(f"[cassandra] datacenter is {wanted}, and Cassandra's are: {names}")


def _cluster(options: CassandraOptions) -> Cluster:
    login = PlainTextAuthProvider(options.username, options.password) if options.username else None
    try:
        return Cluster(
            options.hosts,
            options.port,
            auth_provider=login,
            ssl_context=_tls(options),
            protocol_version=PROTOCOL_VERSION,
            compression=False,
            connect_timeout=CONNECT_SECONDS,
            control_connection_timeout=CONNECT_SECONDS,
            max_schema_agreement_wait=AGREEMENT_SECONDS,
            idle_heartbeat_interval=HEARTBEAT_SECONDS,
            idle_heartbeat_timeout=HEARTBEAT_SECONDS,
            # Without None it gives up a host for good after 64 attempts.
            reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
            execution_profiles={name: _execution(profile, options) for name, profile in PROFILES.items()},
        )
    except UnresolvableContactPoints as error:
        raise StoreUnavailable(f"[cassandra] hosts: none of {', '.join(options.hosts)} resolves") from error
    except (OSError, ssl.SSLError) as error:
        raise StoreUnavailable(f"[cassandra] tls_ca, tls_certificate, tls_key: {error}") from error


def _execution(profile: Profile, options: CassandraOptions) -> ExecutionProfile:
    speculation = ConstantSpeculativeExecutionPolicy(SPECULATIVE_SECONDS, SPECULATIVE_HOSTS)
    return ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(options.datacenter)),
        retry_policy=FallthroughRetryPolicy(),
        consistency_level=profile.consistency,
        serial_consistency_level=profile.serial,
        request_timeout=profile.timeout_seconds,
        row_factory=tuple_factory,
        speculative_execution_policy=speculation if profile.speculative else None,
    )


def _tls(options: CassandraOptions) -> ssl.SSLContext | None:
    if options.tls == "off":
        return None
    context = ssl.create_default_context(cafile=options.tls_ca or None)
    context.check_hostname = options.tls == "full"
    if options.tls_certificate:
        context.load_cert_chain(options.tls_certificate, options.tls_key or None)
    return context


def _raise_if_hopeless(errors: Iterable[Exception]) -> None:
    for error in errors:
        if isinstance(error, InvalidRequest | Unauthorized | AuthenticationFailed):
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> StoreUnavailable:
    if isinstance(error, StoreUnavailable):
        return error
    text = str(error)
    if isinstance(error, InvalidRequest) and ("does not exist" in text or "unconfigured" in text):
        return SchemaMissing(f"Cassandra: {text}; `python -m storage.cassandra_schema` makes it")
    return StoreUnavailable(f"Cassandra: {text}")

"""A Cassandra that asks for a password and speaks TLS only."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.cassandra import HEADER_BYTES, OPTIONS_REQUEST, SUPPORTED_OPCODE, Cassandra
from services.cluster import ANSWER_SECONDS, receive
from storage.base import StoreUnavailable
from storage.cassandra_session import COUNTING, CassandraOptions, CassandraSession
from tests.certificates import SECRET, make_certificate
from tests.service_process import wait_until
from tests.services_fixtures import running

READ = "SELECT cluster_name FROM system.local"


class GuardedCassandra(Cassandra):
    """With the password and the certificate that a new installation gets."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.certificate = self.directory / "node.pem"
        self._keys = self.directory / "node.p12"

    def command(self, number: int) -> list[str]:
        make_certificate(self._keys, self.certificate)
        return super().command(number)

    def is_ready(self, number: int) -> bool:
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection((self.hosts[number], self.port), ANSWER_SECONDS)
        with plain, context.wrap_socket(plain, server_hostname=self.hosts[number]) as connection:
            connection.sendall(OPTIONS_REQUEST)
            return receive(connection, HEADER_BYTES)[4] == SUPPORTED_OPCODE

    def _configuration(self, number: int, directory: Path) -> dict[str, object]:
        encryption = {"enabled": True, "keystore": str(self._keys), "keystore_password": SECRET, "store_type": "PKCS12"}
        login = {"authenticator": {"class_name": "PasswordAuthenticator"}, "authorizer": "CassandraAuthorizer"}
        return super()._configuration(number, directory) | login | {"client_encryption_options": encryption}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedCassandra]:
    yield from running(GuardedCassandra(tmp_path_factory.mktemp("guarded")))


@pytest.fixture
def right(guarded: GuardedCassandra) -> CassandraOptions:
    """What lets one in."""
    return CassandraOptions(
        tuple(guarded.hosts),
        guarded.port,
        "system",
        guarded.datacenter,
        username="cassandra",
        password="cassandra",
        tls="full",
        tls_ca=str(guarded.certificate),
    )


def name_of(options: CassandraOptions) -> object:
    session = CassandraSession(options)
    try:
        return session.run(READ, (), COUNTING)[0][0]
    finally:
        session.close()


def is_let_in(options: CassandraOptions) -> bool:
    try:
        return name_of(options) == "banner-optimiser"
    except StoreUnavailable:
        return False


def test_with_password_and_certificate_one_is_let_in(right: CassandraOptions) -> None:
    # The first user is made a moment after the start.
    wait_until(lambda: is_let_in(right), "the first user is there", 60)
    assert name_of(replace(right, tls="chain")) == "banner-optimiser"


def test_without_one_of_them_one_is_not(right: CassandraOptions, tmp_path: Path) -> None:
    wait_until(lambda: is_let_in(right), "the first user is there", 60)
    make_certificate(tmp_path / "other.p12", tmp_path / "other.pem")
    for wrong, complaint in (
        (replace(right, password="guessed"), "password"),
        (replace(right, username="", password=""), "authenticat"),
        (replace(right, tls_ca=str(tmp_path / "other.pem")), "certificate verify failed"),
        (replace(right, tls="off"), "Unable to connect"),
    ):
        with pytest.raises(StoreUnavailable, match=f"(?i){complaint}"):
            name_of(wrong)

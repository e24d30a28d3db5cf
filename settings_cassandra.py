"""The settings of everything that speaks to Cassandra."""

from dataclasses import dataclass

from settings_rows import choice, number, secret, setting


@dataclass(frozen=True, slots=True)
class Cassandra:
    """Configuration and counts, where storage.backend is cassandra."""

    hosts: str = setting("127.0.0.1", "Nodes to ask first.", "addresses separated by commas", bool)
    port: int = number(9_042, "Port of all nodes.", 1, 65_535)
    keyspace: str = setting("banner", "Keyspace of all tables.", "a name", bool)
    datacenter: str = setting("datacenter1", "Data centre of this process.", "a name", bool)
    username: str = setting("", "Login; empty: none.", "text without line breaks")
    password: str = secret("Its password.")
    tls: str = choice("off", "Encryption.", "off", "chain", "full")
    tls_ca: str = setting("", "Trusted authorities.", "a path, or empty")
    tls_certificate: str = setting("", "Our certificate.", "a path, or empty")
    tls_key: str = setting("", "Its key.", "a path, or empty")

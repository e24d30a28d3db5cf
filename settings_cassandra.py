"""The settings of everything that speaks to Cassandra."""

import re
from dataclasses import dataclass

from settings_rows import Check, choice, is_host, number, secret, setting

_TEXT = "text without line breaks"
_COPIES = r"[A-Za-z0-9_.-]+:[1-9]\d?"


def _list_of(is_right: Check, default: str, help: str, right: str) -> str:
    text: str = setting(default, help, right, lambda value: all(is_right(one.strip()) for one in value.split(",")))
    return text


@dataclass(frozen=True, slots=True)
class Cassandra:
    """Configuration, counts and clicks, where storage.backend is cassandra."""

    hosts: str = _list_of(
        is_host,
        "127.0.0.1",
        "Nodes to ask first.",
        "names or addresses, separated by commas, without a port: that is cassandra.port",
    )
    port: int = number(9_042, "Port of all of them.", 1, 65_535)
    datacenter: str = setting(
        "datacenter1", "The data centre of this host; reads and counts stay in it.", "a name", bool
    )
    keyspace: str = setting(
        "banner",
        "Where the tables are; `python -m storage.cassandra_schema` makes it.",
        "a lower-case name of letters, digits and underscores, of at most 48",
        lambda value: re.fullmatch(r"[a-z][a-z0-9_]{0,47}", value),
    )
    replication: str = _list_of(
        lambda value: re.fullmatch(_COPIES, value),
        "datacenter1:1",
        "Copies of each row, for a keyspace that has yet to be made; 3 in production.",
        "data centre:copies, separated by commas",
    )
    username: str = setting("", "Login; empty: none.", _TEXT)
    password: str = secret("Its password.")
    tls: str = choice(
        "off", "TLS: a certificate that tls_ca signed (chain), which names the node's address too (full).",
        "off", "chain", "full",
    )  # fmt: skip
    tls_ca: str = setting("", "Authorities that sign the nodes' certificates; empty: the system's.", "a path, or empty")
    tls_certificate: str = setting("", "Our certificate, where nodes ask for one.", "a path, or empty")
    tls_key: str = setting("", "Its key.", "a path, or empty")

    def copies(self) -> dict[str, int]:
        """Of `replication`: data centre -> copies."""
        pairs = (one.strip().rpartition(":") for one in self.replication.split(","))
        return {datacenter: int(number) for datacenter, _, number in pairs}


def cassandra_contradictions(cassandra: Cassandra) -> list[str]:
    """What is right alone but wrong together."""
    found = []
    if bool(cassandra.username) != bool(cassandra.password):
        found.append("cassandra.username and cassandra.password: give both, or neither")
    if bool(cassandra.tls_certificate) != bool(cassandra.tls_key):
        found.append("cassandra.tls_certificate and cassandra.tls_key: give both, or neither")
    if cassandra.datacenter not in cassandra.copies():
        found.append(f"cassandra.replication: names no copies in cassandra.datacenter, which is {cassandra.datacenter}")
    return found

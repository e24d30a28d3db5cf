"""The settings of everything that speaks to Kafka."""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from settings_rows import HOST_NAME, choice, is_http_url, number, secret, setting

_TOPIC = "a name of letters, digits, dots, dashes and underscores, of at most 249"
_ADDRESS = rf"{HOST_NAME}:(\d{{1,5}})"


def _topic(default: str, help: str) -> str:
    name: str = setting(default, help, _TOPIC, lambda value: re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value))
    return name


def _are_addresses(value: str) -> bool:
    found = [re.fullmatch(_ADDRESS, one.strip()) for one in value.split(",")]
    return all(one is not None and 1 <= int(one[1]) <= 65_535 for one in found)


def _url(help: str) -> str:
    address: str = setting("", help, "http(s)://host[:port][/path], or empty", is_http_url)
    return address


@dataclass(frozen=True, slots=True)
class Kafka:
    """The clickstream, where storage.backend is cassandra."""

    bootstrap: str = setting(
        "127.0.0.1:9092",
        "Brokers to ask first.",
        "host:port, separated by commas, each port from 1 to 65535",
        _are_addresses,
    )
    topic: str = _topic("banner-events", "Where events go, each into the partition it is counted from.")
    dead_letter_topic: str = _topic("banner-dead-letters", "Where messages go that nobody can read.")
    intake_topic: str = _topic("banner-intake", "Where others put views and clicks that they received.")
    transport: str = choice(
        "native", "How events get to Kafka: in its own protocol, or through a proxy.", "native", "rest"
    )
    window_records: int = number(1_000, "Events sent and not acknowledged at most.", 1, 100_000)
    rest_url: str = _url("Base address of a Kafka REST proxy (v2), for transport = rest.")
    rest_username: str = setting("", "Login of the proxy; empty: none.", "text without line breaks")
    rest_password: str = secret("Its password.")
    security_protocol: str = choice(
        "PLAINTEXT", "How brokers are spoken to.", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"
    )
    sasl_mechanism: str = choice(
        "SCRAM-SHA-512", "How to log in, with a SASL protocol.", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"
    )
    sasl_username: str = setting("", "Login of the brokers.", "text without line breaks")
    sasl_password: str = secret("Its password.")
    ssl_cafile: str = setting(
        "", "Authorities that sign the brokers' certificates; empty: the system's.", "a path, or empty"
    )
    ssl_certfile: str = setting("", "Our certificate, where brokers ask for one.", "a path, or empty")
    ssl_keyfile: str = setting("", "Its key.", "a path, or empty")
    registry_url: str = _url("Base address, with its path, of a Confluent-compatible schema registry; empty: none.")
    registry_username: str = setting("", "Login of the registry; empty: none.", "text without line breaks")
    registry_password: str = secret("Its password.")


def kafka_contradictions(kafka: Kafka) -> list[str]:
    """What is right alone but wrong together."""
    found = []
    if kafka.transport == "rest" and not kafka.rest_url:
        found.append("kafka.rest_url: kafka.transport = rest needs the address of the proxy")
    if kafka.security_protocol.startswith("SASL") and not (kafka.sasl_username and kafka.sasl_password):
        found.append(f"kafka.sasl_username, kafka.sasl_password: {kafka.security_protocol} needs both")
    if bool(kafka.ssl_certfile) != bool(kafka.ssl_keyfile):
        found.append("kafka.ssl_certfile and kafka.ssl_keyfile: give both, or neither")
    if len({kafka.topic, kafka.dead_letter_topic, kafka.intake_topic}) < 3:
        found.append("kafka.topic, kafka.dead_letter_topic and kafka.intake_topic: must differ")
    return found


@dataclass(frozen=True, slots=True)
class Consumer:
    """Counting, in processes of their own: `python -m kafka_ingest.consumer`."""

    instance: str = setting(
        "",
        "Name of this consumer: no two run under one, and it has the same after a restart. Empty: the machine's.",
        "letters, digits, dots, dashes and underscores, or empty",
        lambda value: re.fullmatch(r"[A-Za-z0-9._-]{0,200}", value),
    )
    session_timeout_ms: int = number(45_000, "Silence after which others take over what it counts.", 6_000, 1_800_000)
    metrics_host: str = setting("127.0.0.1", "Address of /metrics and /livez.", "an IP address", ip_address)
    metrics_port: int = number(9_108, "Port of /metrics and /livez.", 1, 65_535)

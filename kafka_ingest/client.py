"""How to reach Kafka: what every producer and consumer of ours is given."""

from dataclasses import dataclass
from typing import Any

CONNECT_SECONDS = 5
"""For a broker to answer at first; a client in a request thread would make visitors wait so long, so there is none."""


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Addresses and login; all as in the settings of the same names, empty where unused."""

    bootstrap: str
    """host:port, separated by commas."""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: str = ""
    ssl_cafile: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""

    def arguments(self) -> dict[str, Any]:
        """For the constructors of kafka-python."""
        return self._kind_of_client() | {
            "bootstrap_servers": [one.strip() for one in self.bootstrap.split(",")],
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism or None,
            "sasl_plain_username": self.sasl_username or None,
            "sasl_plain_password": self.sasl_password or None,
            "ssl_cafile": self.ssl_cafile or None,
            "ssl_certfile": self.ssl_certfile or None,
            "ssl_keyfile": self.ssl_keyfile or None,
            "client_id": "banner-optimiser",
            "bootstrap_timeout_ms": CONNECT_SECONDS * 1000,
            # The default of 30 s would leave us away long after the broker is back.
            "reconnect_backoff_max_ms": 1000,
        }

    def _kind_of_client(self) -> dict[str, Any]:
        if not self.security_protocol.endswith("SSL"):
            return {}
        from kafka_ingest.tls_client import TlsClient

        return {"kafka_client": TlsClient}

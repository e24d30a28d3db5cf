"""A Kafka with a second door, as one has it in production: TLS with certificates on both sides, and a login."""

from pathlib import Path

from kafka.admin import UserScramCredentialUpsertion

from services.cluster import free_ports
from services.kafka import HOST, Kafka
from tests.certificates import SECRET, export_key, make_certificate
from tests.kafka.topic import admin

USER, PASSWORD = "banner", 'say "friend" \\ and enter'
PLAIN_PASSWORD = "another"
LOGIN = "org.apache.kafka.common.security"


class GuardedKafka(Kafka):
    """`bootstrap` is the door of the tests, without a guard; `guarded` lets in who has a password and a certificate."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.guarded = f"{HOST}:{free_ports([HOST], 1)[0]}"
        self.certificate, self.key = self.directory / "broker.pem", self.directory / "key.pem"
        self._keys = self.directory / "broker.p12"

    def start(self) -> None:
        make_certificate(self._keys, self.certificate)
        export_key(self._keys, self.key)
        super().start()
        with admin(self.bootstrap) as client:
            client.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, "SCRAM-SHA-256", PASSWORD)])

    def settings(self) -> dict[str, str]:
        """What lets one in, as environment variables."""
        return {
            "BANNER_KAFKA_BOOTSTRAP": self.guarded,
            "BANNER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "BANNER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "BANNER_KAFKA_SASL_USERNAME": USER,
            "BANNER_KAFKA_SASL_PASSWORD": PASSWORD,
            "BANNER_KAFKA_SSL_CAFILE": str(self.certificate),
            "BANNER_KAFKA_SSL_CERTFILE": str(self.certificate),
            "BANNER_KAFKA_SSL_KEYFILE": str(self.key),
        }

    def _properties(self, number: int) -> dict[str, object]:
        given, door = super()._properties(number), f"SASL_SSL://{self.guarded}"
        stores = {
            "keystore.type": "PKCS12",
            "keystore.location": self._keys,
            "keystore.password": SECRET,
            "truststore.type": "PEM",
            "truststore.location": self.certificate,
        }
        listener = {
            "scram-sha-256.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
            "plain.sasl.jaas.config": f'{LOGIN}.plain.PlainLoginModule required user_{USER}="{PLAIN_PASSWORD}";',
            "ssl.client.auth": "required",
        }
        return {
            **given,
            **{f"ssl.{name}": value for name, value in stores.items()},
            **{f"listener.name.sasl_ssl.{name}": value for name, value in listener.items()},
            "listeners": f"{given['listeners']},{door}",
            "advertised.listeners": f"{given['advertised.listeners']},{door}",
            "listener.security.protocol.map": f"{given['listener.security.protocol.map']},SASL_SSL:SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN",
        }

"""Why Kafka does not let us in: of a first connection that fails kafka-python says only that there was none."""

from typing import TYPE_CHECKING

from kafka.errors import KafkaError, KafkaTimeoutError

from kafka_ingest.client import KafkaOptions
from storage.base import StoreUnavailable

if TYPE_CHECKING:
    from kafka.net.manager import KafkaConnectionManager

ANSWER_MS = 2000
"""For one broker, asked once more for the reason."""

LOGIN = "kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password"
ADVICE = {
    "certificate is not valid for": "kafka.bootstrap has to name brokers as their certificates do",
    "CERTIFICATE_VERIFY_FAILED": "kafka.ssl_cafile has to name the authority that signed the broker's certificate",
    "ALERT": "kafka.ssl_certfile and kafka.ssl_keyfile have to be what the brokers accept",
    "[SSL": "is kafka.security_protocol right?",
    "Sasl": f"are {LOGIN} right?",
    "[Errno": "are kafka.ssl_cafile, kafka.ssl_certfile and kafka.ssl_keyfile right?",
    "Handshake failed": "is kafka.security_protocol right?",
    "Invalid frame length": "is kafka.security_protocol right?",
}
"""By what stands in the reason, the first that does: the settings to look at."""
DISCONNECTED = {
    "SASL_SSL": f"are {LOGIN} right?",
    "SASL_PLAINTEXT": f"are kafka.security_protocol, {LOGIN} right?",
}
"""By protocol, where a broker hangs up, as it does on a wrong login; what it says before, kafka-python may not hear."""


def unavailable(options: KafkaOptions, error: Exception, what: str = "") -> StoreUnavailable:
    """What to say of this error of a client, when `what` was asked for; where it found no broker, one is asked why."""
    reason = (_first_failure(options) if isinstance(error, KafkaTimeoutError) else None) or error
    advice = _advice(options.security_protocol, str(reason))
    return StoreUnavailable(f"Kafka at {options.bootstrap}{what}: {reason}{advice and f'; {advice}'}")


def _advice(security_protocol: str, reason: str) -> str:
    if "disconnected" in reason:
        return DISCONNECTED.get(security_protocol, "is kafka.security_protocol right?")
    return next((advice for sign, advice in ADVICE.items() if sign in reason), "")


def _first_failure(options: KafkaOptions) -> Exception | None:
    """Why the brokers that are asked first cannot be spoken to; None where one can."""
    try:
        from kafka.net.manager import KafkaConnectionManager
        from kafka.net.selector import NetworkSelector
    except ImportError:  # inner parts of kafka-python, which another release may have elsewhere
        return None
    net = NetworkSelector()
    manager = KafkaConnectionManager(net, **options.arguments(), request_timeout_ms=ANSWER_MS)
    failures = []
    try:
        for broker in manager.cluster.bootstrap_brokers():
            try:
                net.run(_connect, manager, broker.node_id)
            except (KafkaError, OSError) as error:
                failures.append(error)
            else:
                return None
    finally:
        manager.close()
        net.close()
    return failures[0]


async def _connect(manager: "KafkaConnectionManager", node_id: str) -> None:
    connection = manager.get_connection(node_id, timeout_ms=ANSWER_MS)
    await manager.wait_for(connection.init_future, ANSWER_MS)  # a TLS handshake has no deadline of its own
    await manager.cluster.refresh_metadata(node_id)  # only then a broker minds that somebody did not log in

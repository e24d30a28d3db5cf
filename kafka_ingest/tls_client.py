"""kafka-python's client with a deadline for TLS handshakes, of which it has none.

A broker that stands still accepts connections all the same (its kernel does), and whoever is new would wait for it for
ever, with others of the cluster at hand.
"""

from typing import Any

from kafka.future import Future
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from kafka_ingest import client


class TlsClient(KafkaNetClient):  # type: ignore[misc]
    """For the constructors of kafka-python, as kafka_client."""

    def __init__(self, **configs: Any) -> None:
        net = NetworkSelector(**configs)
        super().__init__(net, TlsManager(net, **configs), **configs)


class TlsManager(KafkaConnectionManager):  # type: ignore[misc]
    """Its connections: a handshake that takes too long is a failed one."""

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        built = Future()

        async def build() -> None:
            try:
                built.success(await KafkaConnectionManager._build_transport(self, node, timeout_at))
            except Exception as error:
                built.failure(error)

        task = self._net.call_soon(build)
        try:
            return await self.wait_for(built, client.CONNECT_SECONDS * 1000)
        finally:
            self._net.cancel(task)  # its socket is closed with it

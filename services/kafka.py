"""Kafka 4.1 in KRaft mode on 127.0.0.1: each broker is a controller too."""

import base64
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from services.cluster import ANSWER_SECONDS, Cluster, receive
from services.jars import JAVA_OPTIONS, jars, java
from services.process import Failed

HOST = "127.0.0.1"
METADATA_REQUEST = struct.pack(">hhihi", 3, 1, 7, -1, 0)
"""API key 3 (Metadata), version 1, correlation id 7, no client id, no topics."""
METADATA_BROKERS = struct.Struct(">ii")
"""How the answer begins: correlation id, number of brokers. Brokers that do not serve yet are not among them."""


class Kafka(Cluster):
    """Brokers of one cluster; with three, a write is acknowledged by at least two."""

    name = "kafka"

    def __init__(self, directory: Path, brokers: int = 1, *, outlives: bool = False) -> None:
        """Unless it `outlives` this process, it ends with it. Data from an earlier start stay."""
        super().__init__(directory, brokers, [HOST], 2 * brokers, outlives=outlives)
        self._client_ports, self._controller_ports = self._ports[:brokers], self._ports[brokers:]
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in self._client_ports)
        self.address = self.bootstrap

    def command(self, number: int) -> list[str]:
        directory = self.processes[number].directory
        properties = directory / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._properties(number).items()))
        if not (directory / "data" / "meta.properties").exists():
            self._format(properties)
        return [*self._java("-Xms256m", "-Xmx512m"), "kafka.Kafka", str(properties)]

    def is_ready(self, number: int) -> bool:
        """Whether it answers Metadata, and names as many brokers that serve as run here."""
        with socket.create_connection((HOST, self._client_ports[number]), ANSWER_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(METADATA_REQUEST)) + METADATA_REQUEST)
            (size,) = struct.unpack(">i", receive(connection, 4))
            _correlation, brokers = METADATA_BROKERS.unpack_from(receive(connection, size))
            running = sum(process.pid is not None for process in self.processes)
            return int(brokers) >= running

    def _format(self, properties: Path) -> None:
        command = [*self._java(), "kafka.tools.StorageTool", "format", "-t", self._cluster_id(), "-c", str(properties)]
        answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if answer.returncode:
            raise Failed(f"the directory of Kafka could not be formatted:\n{answer.stdout}{answer.stderr}")

    def _cluster_id(self) -> str:
        path = self.directory / "kafka-cluster-id"
        if not path.exists():
            # The first letter must not be a dash, which the tool would take for an option.
            path.write_text("K" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22])
        return path.read_text()

    def _java(self, *options: str) -> list[str]:
        log4j = Path(__file__).parent / "log4j2.xml"
        return [java(), *JAVA_OPTIONS, *options, f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{jars('kafka')}/*"]

    def _properties(self, number: int) -> dict[str, object]:
        brokers = len(self.processes)
        voters = ",".join(f"{one + 1}@{HOST}:{port}" for one, port in enumerate(self._controller_ports))
        client = f"PLAINTEXT://{HOST}:{self._client_ports[number]}"
        return {
            "process.roles": "broker,controller",
            "node.id": number + 1,
            "controller.quorum.voters": voters,
            "listeners": f"{client},CONTROLLER://{HOST}:{self._controller_ports[number]}",
            "advertised.listeners": client,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.processes[number].directory / "data",
            "default.replication.factor": brokers,
            "min.insync.replicas": min(2, brokers),
            "unclean.leader.election.enable": "false",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": brokers,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": brokers,
            "transaction.state.log.min.isr": min(2, brokers),
            "group.initial.rebalance.delay.ms": 0,
            # How soon a broker that was killed may come back: only when its old session is over.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
            # A topic takes space for its index files before it has any record.
            "log.index.size.max.bytes": 1 << 20,
        }

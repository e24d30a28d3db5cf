"""Cassandra 5.0 on 127.0.0.1, or as three nodes on 127.0.0.1 to 127.0.0.3, with as little memory as it runs in."""

import json
import socket
from pathlib import Path

from services.cluster import ANSWER_SECONDS, Cluster, receive
from services.jars import JAVA_OPTIONS, jars, java

OPTIONS_REQUEST = b"\x04\x00\x00\x00\x05\x00\x00\x00\x00"
"""Native protocol v4: version, flags, stream (2 bytes), opcode OPTIONS, length 0."""
SUPPORTED_OPCODE = 6
HEADER_BYTES = 9
TOKEN_RANGE = 2**64


class Cassandra(Cluster):
    """Nodes of one data centre; a keyspace can be replicated to all of them."""

    name = "cassandra"
    datacenter = "datacenter1"

    def __init__(self, directory: Path, nodes: int = 1, *, outlives: bool = False) -> None:
        """Unless it `outlives` this process, it ends with it. Data from an earlier start stay."""
        self.hosts = [f"127.0.0.{number + 1}" for number in range(nodes)]
        super().__init__(directory, nodes, self.hosts, 2, outlives=outlives)
        self.port, self._storage_port = self._ports
        self.address = f"{','.join(self.hosts)} port {self.port} datacenter {self.datacenter}"

    def command(self, number: int) -> list[str]:
        directory = self.processes[number].directory
        files = Path(__file__).parent
        # JSON is YAML, so nothing has to be quoted by hand.
        (directory / "cassandra.yaml").write_text(json.dumps(self._configuration(number, directory), indent=1))
        return [
            java(),
            *JAVA_OPTIONS,
            f"@{files / 'cassandra.java'}",
            f"-Dlogback.configurationFile={files / 'logback.xml'}",
            f"-Dcassandra.config=file://{directory / 'cassandra.yaml'}",
            f"-Dcassandra.storagedir={directory}",
            f"-Dcassandra.logdir={directory}",
            "-cp",
            f"{jars('cassandra')}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]

    def is_ready(self, number: int) -> bool:
        """Whether it answers OPTIONS, and knows all others."""
        with socket.create_connection((self.hosts[number], self.port), ANSWER_SECONDS) as connection:
            connection.sendall(OPTIONS_REQUEST)
            if receive(connection, HEADER_BYTES)[4] != SUPPORTED_OPCODE:
                return False
        return len(self.hosts) == 1 or self._known_peers(number) == len(self.hosts) - 1

    def _known_peers(self, number: int) -> int:
        """How many others it has heard of. Until it has of all, a new keyspace may be known to some nodes only: the
        nodes start without waiting for each other's gossip, and a driver asks those for agreement that it hears of."""
        from cassandra import DriverException
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile, NoHostAvailable
        from cassandra.cluster import Cluster as Driver
        from cassandra.policies import WhiteListRoundRobinPolicy

        host = self.hosts[number]
        profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([host]))
        driver = Driver(
            [host],
            self.port,
            protocol_version=4,
            compression=False,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )
        try:
            ((peers,),) = driver.connect().execute("SELECT count(schema_version) FROM system.peers_v2")
            return int(peers)
        except (DriverException, NoHostAvailable):
            return 0
        finally:
            driver.shutdown()

    def _configuration(self, number: int, directory: Path) -> dict[str, object]:
        host = self.hosts[number]
        seeds = ",".join(f"{one}:{self._storage_port}" for one in self.hosts)
        provider = {"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": [{"seeds": seeds}]}
        return {
            "cluster_name": "banner-optimiser",
            # Equal shares fixed from the start, so that all nodes can start at the same time.
            "num_tokens": 1,
            "initial_token": str(TOKEN_RANGE * number // len(self.hosts) - TOKEN_RANGE // 2),
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [provider],
            "listen_address": host,
            "rpc_address": host,
            "native_transport_port": self.port,
            "storage_port": self._storage_port,
            "start_native_transport": True,
            "commitlog_sync": "periodic",
            "commitlog_sync_period": "10000ms",
            "commitlog_directory": str(directory / "commitlog"),
            "data_file_directories": [str(directory / "data")],
            "saved_caches_directory": str(directory / "saved_caches"),
            "hints_directory": str(directory / "hints"),
            "cdc_raw_directory": str(directory / "cdc_raw"),
            "memtable_heap_space": "64MiB",
            "memtable_offheap_space": "64MiB",
            "file_cache_size": "32MiB",
            "auto_snapshot": False,
        }

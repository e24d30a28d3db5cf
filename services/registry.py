"""Apicurio Registry 2.6, which answers as Confluent's schema registry does; it keeps its schemas in memory only."""

from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from services.cluster import ANSWER_SECONDS, Cluster
from services.jars import JAVA_OPTIONS, jars, java

HOST = "127.0.0.1"


class Registry(Cluster):
    """One registry."""

    name = "registry"

    def __init__(self, directory: Path, *, outlives: bool = False) -> None:
        """Unless it `outlives` this process, it ends with it."""
        super().__init__(directory, 1, [HOST], 1, outlives=outlives)
        (self.port,) = self._ports
        self.url = f"http://{HOST}:{self.port}/apis/ccompat/v7"
        self.address = self.url

    def command(self, number: int) -> list[str]:
        (program,) = jars("registry").glob("*-runner.jar")
        return [
            java(),
            *JAVA_OPTIONS,
            "-Xmx384m",
            f"-Djava.io.tmpdir={self.processes[number].directory}",
            f"-Dquarkus.http.host={HOST}",
            f"-Dquarkus.http.port={self.port}",
            "-jar",
            str(program),
        ]

    def is_ready(self, number: int) -> bool:  # noqa: ARG002
        try:
            with urlopen(f"{self.url}/subjects", timeout=ANSWER_SECONDS) as answer:
                return bool(answer.status == 200)
        except HTTPError:
            return False

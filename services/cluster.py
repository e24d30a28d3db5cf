"""What the servers have in common: several processes of one program, remembered ports, waiting until they answer."""

import json
import random
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from services.process import POLL_SECONDS, Failed, Process

START_SECONDS = 300.0
"""A machine that is busy with tests may need minutes."""
ANSWER_SECONDS = 5.0

FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below the ports that systems give to outgoing connections, so that a free one stays free until it is used."""


class Cluster(ABC):
    """Processes of one program, numbered from 0. A context manager that starts them and ends them at once."""

    name: str
    address: str
    """Where clients connect."""

    def __init__(self, directory: Path, size: int, hosts: Sequence[str], ports: int, *, outlives: bool) -> None:
        """The first use of a directory chooses `ports` free ports, later ones find the same again. Raises Failed."""
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.size_in(directory) not in (0, size):
            raise Failed(
                f"{directory} holds {self.name} with {self.size_in(directory)} processes, not {size}: ask for as many, "
                f"or stop it and remove {self.name}* there"
            )
        self._ports = self._remembered_ports(hosts, ports)
        self.processes = [
            Process(f"{self.name}-{number}", self._made(f"{self.name}-{number}"), outlives=outlives)
            for number in range(size)
        ]

    @classmethod
    def size_in(cls, directory: Path) -> int:
        """How many processes have their data here; 0 where it never ran."""
        return len(list(directory.glob(f"{cls.name}-[0-9]")))

    def _made(self, name: str) -> Path:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        return directory

    def _remembered_ports(self, hosts: Sequence[str], count: int) -> list[int]:
        path = self.directory / f"{self.name}-ports.json"
        if not path.exists():
            path.write_text(json.dumps(free_ports(hosts, count)))
        ports: list[int] = json.loads(path.read_text())
        return ports

    @abstractmethod
    def command(self, number: int) -> list[str]:
        """How process `number` is started; writes the files that it needs. Raises services.Missing."""

    @abstractmethod
    def is_ready(self, number: int) -> bool:
        """Whether it answers in its own protocol. OSError means no."""

    def start(self) -> None:
        """Start all that do not run, and return once they answer. Raises services.Missing, Failed."""
        for number, process in enumerate(self.processes):
            process.start(self.command(number))
        for number in range(len(self.processes)):
            self._wait_until_ready(number)

    def start_one(self, number: int) -> None:
        """The same for one of them."""
        self.processes[number].start(self.command(number))
        self._wait_until_ready(number)

    def stop(self) -> None:
        """Ask all to end, and wait until they have."""
        for process in self.processes:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in self.processes:
            process.stop()

    def kill(self, number: int) -> None:
        """SIGKILL, as a power cut of one machine."""
        self.processes[number].kill()

    def freeze(self, number: int) -> None:
        """SIGSTOP: it keeps its connections and answers nothing, as a machine in a long pause."""
        self.processes[number].freeze()

    def thaw(self, number: int) -> None:
        """SIGCONT."""
        self.processes[number].signal(signal.SIGCONT)

    def close(self) -> None:
        """End all at once."""
        for process in self.processes:
            process.signal(signal.SIGKILL)
        for process in self.processes:
            process.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_ready(self, number: int) -> None:
        process = self.processes[number]
        deadline = time.monotonic() + START_SECONDS
        while not _holds(lambda: self.is_ready(number)):
            if process.pid is None:
                raise Failed(f"{process.name} ended; {process.log_path} ends with:\n{process.log_tail()}")
            if time.monotonic() > deadline:
                raise Failed(f"{process.name} does not answer; {process.log_path} ends with:\n{process.log_tail()}")
            time.sleep(POLL_SECONDS)


def free_ports(hosts: Sequence[str], count: int) -> list[int]:
    """Ports that nobody listens on, at any of these addresses. Raises Failed."""
    candidates = random.sample(range(FIRST_PORT, LAST_PORT), 50 * count)
    free = [port for port in candidates if _holds(partial(_can_listen, hosts, port))]
    if len(free) < count:
        raise Failed(f"no free ports from {FIRST_PORT} to {LAST_PORT} on {', '.join(hosts)}")
    return free[:count]


def receive(connection: socket.socket, count: int) -> bytes:
    """Exactly so many bytes. Raises OSError where the connection ends before."""
    received = b""
    while len(received) < count:
        some = connection.recv(count - len(received))
        if not some:
            raise ConnectionError("closed in mid-answer")
        received += some
    return received


def _can_listen(hosts: Sequence[str], port: int) -> bool:
    for host in hosts:
        with socket.create_server((host, port)):
            pass
    return True


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False

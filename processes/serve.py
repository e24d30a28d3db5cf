"""`python app.py`: make everything ready, then watch over the drain and the web server."""

import errno
import logging
import os
import signal
import socket
import sys

from processes.supervisor import Program, Supervisor
from serving.secret_file import keyring, load_or_create
from settings import ROOT, Settings
from storage.base import StoreUnavailable
from storage.opening import open_store

log = logging.getLogger("supervisor")

WEB_STOP_SECONDS = 9.0
DRAIN_STOP_SECONDS = 13.0


class CannotServe(Exception):
    """Something outside has to change first; the message says what."""


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises CannotServe, SecretFileError, DirectoryInUse, OSError."""
    settings.paths.make()
    with settings.paths.alone():
        make_ready(settings)
        received: list[int] = []
        _on_stop_signals(lambda number, _: received.append(number))
        log.info("serving on %s", address(settings.server.host, settings.server.port))
        return Supervisor(programs(), lambda: bool(received), os.environ).run()


def make_ready(settings: Settings) -> None:
    """See to what the web server needs. Raises CannotServe, SecretFileError, SchemaVersionError, MissingPackage."""
    check_port(settings.server.host, settings.server.port)
    if keyring(settings.secrets.token_keys, settings.secrets.customer_key) is None:
        load_or_create(settings.paths.secrets)
    try:
        open_store(settings).close()
    except StoreUnavailable as error:
        log.error("starting without the store, from the last snapshot: %s", error)


def programs() -> list[Program]:
    """What has to run; the web server stops first, so that the drain delivers all of its journals."""
    command = (sys.executable, str(ROOT / "app.py"))
    return [
        Program("drain", (*command, "drain"), DRAIN_STOP_SECONDS),
        Program("web server", (*command, "web"), WEB_STOP_SECONDS),
    ]


def check_port(host: str, port: int) -> None:
    """Raise CannotServe when nobody could listen here. (The workers share the port, and would with strangers.)"""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another program uses it" if taken else os.strerror(error.errno or 0)
            raise CannotServe(
                f"cannot listen on {address(host, port)}: {reason}; change server.host or server.port "
                "(BANNER_SERVER_PORT=8001, for example)"
            ) from error


def address(host: str, port: int) -> str:
    """As a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _on_stop_signals(handler: "signal._HANDLER") -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, and shells that start it in the background
            signal.signal(number, handler)

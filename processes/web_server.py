"""The web server process: granian, one blocking thread a worker, every worker with an application of its own."""

import logging
import os
import signal
from functools import partial
from importlib import import_module
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.common import AbstractServer

from processes import lifeline
from processes.log import configuration
from settings import Settings

log = logging.getLogger("web server")

KILL_SECONDS = 8
"""For a worker to finish its requests."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM; a worker that dies is replaced at once."""
    server("app:application", settings).serve(target_loader=partial(_load, os.getpid()), wrap_loader=False)


def server(target: str, settings: Settings) -> AbstractServer[Any]:
    """The server of this WSGI application, `module:name`, with the settings of ours."""
    return Granian(
        target,
        address=settings.server.host,
        port=settings.server.port,
        interface=Interfaces.WSGI,
        workers=settings.server.workers,
        blocking_threads=1,
        # The one thread keeps its connections and caches, however long nobody asks.
        blocking_threads_idle_timeout=600,
        http=HTTPModes.http1,
        websockets=False,
        # Starts and stops are told by our own lines, and its warning of a worker that would not stop is often wrong.
        log_level=LogLevels.error,
        log_dictconfig=configuration(settings.log.level, settings.log.time_zone),
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_SECONDS,
    )


def _load(parent: int) -> Any:
    """The application, built in the worker that serves it."""
    # Until granian installs the worker's handlers those of its parent would swallow the signal.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lifeline.die_with(parent)
    log.info("web worker started, pid %d", os.getpid())
    return import_module("app").application

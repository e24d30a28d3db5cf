"""Where everything is put together: the WSGI application, and `python app.py [serve | web | drain | check]`.

Importing this module connects nothing: `application` is built when it is first asked for, in the process that asks.
"""

import argparse
import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_directory import DirectoryInUse
from processes import lifeline, log
from processes.lifeline import PARENT_VARIABLE
from serving.keyring import Keyring
from serving.secret_file import SecretFileError, keyring, load_or_create
from settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from flask import Flask

    from storage.base import Store
    from web.worker import Worker

SWITCH_SECONDS = 0.0005
ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000
"""A request leaves no garbage in cycles; looking for it after every 700 objects took 3 % of a busy worker."""
BUSY_SECONDS = 0.5
"""How long a change of configuration waits for its turn to write: the worker's requests for banners wait with it."""
COMMANDS = {
    "serve": "run the drain and the web server, and restart whichever ends (the default)",
    "web": "run the web server alone",
    "drain": "run the drain alone, beside `app:application` under another WSGI server",
    "check": "print every setting and where it came from, and try the store and Kafka",
}
CANNOT_RUN = 1
SETTINGS_ARE_WRONG = 2


def keys_of(settings: Settings) -> Keyring:
    """Those of the settings, else those of the installation's own file, which is made if there is none."""
    given = keyring(settings.secrets.token_keys, settings.secrets.customer_key)
    return given or load_or_create(settings.paths.secrets)


def __getattr__(name: str) -> Any:
    """`application`, for any WSGI server: `app:application`."""
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = load(os.environ)
    log.configure(settings.log.level, settings.log.time_zone)
    return globals().setdefault("application", create_app(settings))


def create_app(settings: Settings) -> "Flask":
    """The application of one worker process, with its background threads started."""
    from multiprocessing.util import Finalize

    from serving.page_memory import PageMemory
    from storage.opening import store_for
    from web.application import build
    from web.demo import DemoShop
    from web.simulated_visitors import SimulatedVisitors

    # A request that lets the journal's write run would else wait up to 5 ms for its turn after a background thread.
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    store = store_for(settings, busy_seconds=BUSY_SECONDS)
    worker = create_worker(settings, store)
    memory = PageMemory(store, settings.paths.snapshot / "daily_counts.json")
    worker.start()
    memory.start()
    for stop in (worker.stop, memory.stop):
        Finalize(None, stop, exitpriority=10)
    return build(
        store=store,
        configuration=worker.snapshot.current,
        door=worker.door,
        ready=worker.ready,
        metrics=worker.metrics.render,
        media_directory=settings.paths.media,
        jobs_directory=settings.paths.jobs,
        now=lambda: datetime.now(UTC),
        insight=worker.insight,
        memory=memory,
        secure_cookies=settings.server.public_url.startswith("https:"),
        demo=DemoShop(settings.paths.demo, SimulatedVisitors(settings.paths.demo_visitors)),
    )


def create_worker(settings: Settings, store: "Store") -> "Worker":
    """What a worker process holds besides Flask, not started yet."""
    import numpy as np

    from serving.snapshot import Snapshot
    from serving.snapshot_file import SnapshotFile
    from serving.verdict import Judge
    from storage.journal import Journal
    from web.visitors import Visitors
    from web.worker import Worker

    paths, limits, workers = settings.paths, settings.limits, settings.server.workers
    snapshot = Snapshot(
        store,
        SnapshotFile(paths.snapshot / "snapshot.json"),
        clock=_now_us,
        rng=np.random.Generator(np.random.SFC64()),  # the fastest there is
        **asdict(settings.learning),
        **asdict(settings.snapshot),
    )
    journal = settings.journal
    return Worker(
        snapshot=snapshot,
        journal=Journal.open(
            paths.journal,
            sync=journal.sync,
            sync_interval_ms=journal.sync_interval_ms,
            segment_bytes=journal.segment_mib << 20,
            max_bytes=journal.max_mib << 20,
        ),
        journal_directory=paths.journal,
        metrics_directory=paths.metrics,
        keyring=keys_of(settings),
        # Each worker sees its share of a visitor's requests.
        judge=Judge(
            impressions_per_minute=max(1, limits.impressions_per_minute // workers),
            clicks_per_minute=max(1, limits.clicks_per_minute // workers),
            too_fast_us=limits.too_fast_ms * 1000,
        ),
        visitors=Visitors(settings.server.trusted_proxies),
        public_url=settings.server.public_url,
        city_header=settings.server.city_header,
        clock=_now_us,
        rng=random.Random(),
    )


def _now_us() -> int:
    return time.time_ns() // 1000


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, 1 when something outside is in the way, 2 when the settings are wrong."""
    parser = argparse.ArgumentParser(prog="app.py", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.epilog = "\n".join(f"  {name:6} {text}" for name, text in COMMANDS.items())
    parser.add_argument("command", nargs="?", choices=COMMANDS, default="serve", metavar="command")
    command = parser.parse_args(arguments).command
    try:
        settings = load(os.environ)
    except SettingsError as error:
        print(f"the settings are wrong:\n{error}", file=sys.stderr)
        return SETTINGS_ARE_WRONG
    log.configure(settings.log.level, settings.log.time_zone)
    _tie_to_supervisor()
    return _RUN[command](settings)


def _tie_to_supervisor() -> None:
    if PARENT_VARIABLE in os.environ:
        lifeline.die_with(int(os.environ[PARENT_VARIABLE]))


def _serve(settings: Settings) -> int:
    from processes import serve

    return _start(lambda: serve.run(settings))


def _web(settings: Settings) -> int:
    from processes import serve, web_server

    def run() -> int:
        # The supervisor has seen to it; and where it starts the web server again, the port may not be free yet.
        if PARENT_VARIABLE not in os.environ:
            settings.paths.make()
            serve.make_ready(settings)
        web_server.run(settings)
        return 0

    return _start(run)


def _start(run: Callable[[], int]) -> int:
    from processes import serve
    from storage.base import MissingPackage, SchemaVersionError

    try:
        return run()
    except (serve.CannotServe, DirectoryInUse, SchemaVersionError, MissingPackage, SecretFileError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return CANNOT_RUN


def _drain(settings: Settings) -> int:
    from processes import drain
    from storage.base import MissingPackage, SchemaVersionError

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        drain.run(settings, stop)
    except (SchemaVersionError, MissingPackage, OSError) as error:
        print(f"the drain cannot run: {error}", file=sys.stderr)
        return CANNOT_RUN
    return 0


def _check(settings: Settings) -> int:
    from processes import check

    for line in check.report(settings):
        print(line)
    code = 0
    for line, in_the_way in check.needs(settings):
        print(line, flush=True)
        code = CANNOT_RUN if in_the_way else code
    return code


_RUN = {"serve": _serve, "web": _web, "drain": _drain, "check": _check}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

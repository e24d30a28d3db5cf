"""A job through its front door, settings and arguments to exit code, in the session that all tests share."""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

from bandit.model import Tenant
from settings import Settings
from spark_jobs import job
from storage.sqlite import SqliteStore
from tests.service_process import wait_until

SHOP = Tenant("shop", time_zone="Asia/Kolkata", cities={"Bengaluru": ("Bangalore",), "Pune": ("Poona",), "Delhi": ()})


def environment(directory: Path, **settings: object) -> dict[str, str]:
    """Of an embedded installation with the tenant `shop`; settings are named as in the environment."""
    (directory / "config.ini").write_text("")
    data = directory / "data"
    data.mkdir()
    store = SqliteStore.open(data / "banner.db")
    store.put_tenant("shop", SHOP)
    store.close()
    ours = {"config": directory / "config.ini", "data_directory": data, **settings}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANNER_")}
    return kept | {f"BANNER_{name.upper()}": str(value) for name, value in ours.items()}


def run(module: ModuleType, spark: Any, environ: Mapping[str, str], *arguments: str) -> int:
    """The exit code. The job asks for a session, and is given ours, which goes on when the job ends."""

    def work(given: Any, settings: Settings, _: object) -> int:
        return int(module._work(given, settings, lambda **_: spark))

    return job.run(module.__name__, module._parser().parse_args(arguments), work, environ)


def run_until(
    condition: Callable[[], bool], module: ModuleType, spark: Any, environ: Mapping[str, str], *arguments: str
) -> int:
    """The same for a job that goes on; its query is ended when the condition holds. (What a signal does is for
    processes of their own: it would break off this thread's talk with Java.)"""
    ended = threading.Event()

    def end_it() -> None:
        try:
            wait_until(lambda: ended.is_set() or condition(), f"what {module.__name__} is to do is done", 120)
        finally:
            for query in spark.streams.active:
                job.end(query)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(end_it)
        try:
            code = run(module, spark, environ, *arguments)
        finally:
            ended.set()
        watching.result()
    return code


def files_below(directory: Path) -> dict[str, int]:
    """Every file but those that SQLite and locks make by being opened, with its size."""
    return {
        str(path.relative_to(directory)): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.startswith(("banner.db", "_lock", "_archiving", "_recount"))
    }

"""What the views work with, held by the application and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from flask import current_app

from bandit.model import Configuration
from serving.daily_counts import DailyCounts
from serving.explain import Explainer
from serving.keyring import Keyring
from serving.snapshot import Snapshot
from serving.standings import Standings
from storage.base import Store
from web.jobs import Jobs

EXTENSION = "banner_optimiser"


class Insight(NamedTuple):
    """What this process knows and does, for people to look at."""

    snapshot: Snapshot
    explainer: Explainer
    keyring: Keyring
    journal_directory: Path


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a view may use."""

    store: Store
    configuration: Callable[[], Configuration]
    """The snapshot's: needs no store, up to a few seconds old. Keys are looked up here."""
    current: Callable[[], Configuration]
    """The store's: what the last change left behind."""
    ready: Callable[[], tuple[bool, str, dict[str, Any]]]
    """(ready, "ok" | "degraded" | "shedding" | ..., details) of this process."""
    metrics: Callable[[], bytes]
    media_directory: Path
    jobs: Jobs
    now: Callable[[], datetime]
    insight: Insight
    daily_counts: DailyCounts
    standings: Standings


class CurrentConfiguration:
    """The store's configuration, read again only when its version has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: Configuration | None = None

    def __call__(self) -> Configuration:
        last = self._last
        if last is None or last.version != self._store.configuration_version():
            last = self._store.configuration()
            self._last = last
        return last


def context() -> Context:
    """Those of the application that handles this request."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Context)
    return found

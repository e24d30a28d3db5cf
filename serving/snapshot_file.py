"""The last snapshot on disk: what a process starts from when the store is away."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bandit.model import ApiKey, Banner, Configuration, Slot, Tenant
from serving.evidence import Matrix
from storage.sqlite_documents import dump, load

log = logging.getLogger(__name__)

FORMAT = 2


@dataclass(frozen=True, slots=True)
class SavedSnapshot:
    """All configuration, and the evidence of the slots that were in use."""

    configuration: Configuration
    read_us: int
    """When the store was read for it, in microseconds since 1970 UTC."""
    evidence: Mapping[tuple[str, str], Matrix]
    """(tenant, slot) -> trials and clicks, shape (2, cities, banners) in the configuration's order."""


class SnapshotFile:
    """One file, replaced as a whole, readable by its owner only: it holds the hashes of the keys."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, snapshot: SavedSnapshot) -> None:
        """Keep it. A failure is logged: serving goes on without a file."""
        own = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(own, "w", encoding="utf-8", opener=_private) as file:
                json.dump(_to_json(snapshot), file)
            own.replace(self._path)
        except OSError as error:
            log.warning("the snapshot could not be saved: %s", error)

    def load(self) -> SavedSnapshot | None:
        """The last saved snapshot; None when there is none that can be used."""
        try:
            document = json.loads(self._path.read_text("utf-8"))
            return _from_json(document) if document["format"] == FORMAT else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the saved snapshot cannot be used: %s", error)
            return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _to_json(snapshot: SavedSnapshot) -> dict[str, Any]:
    known = snapshot.configuration
    return {
        "format": FORMAT,
        "version": known.version,
        "read_us": snapshot.read_us,
        "tenants": [dump(tenant) for tenant in known.tenants.values()],
        "keys": [dump(key) for key in known.keys.values()],
        "slots": [(tenant, dump(slot)) for (tenant, _), slot in known.slots.items()],
        "banners": [(tenant, dump(b)) for (tenant, _), slot in known.banners.items() for b in slot.values()],
        "evidence": [(*key, matrix.tolist()) for key, matrix in snapshot.evidence.items()],
    }


def _from_json(document: dict[str, Any]) -> SavedSnapshot:
    tenants = [load(Tenant, text) for text in document["tenants"]]
    keys = [load(ApiKey, text) for text in document["keys"]]
    slots = [(tenant, load(Slot, text)) for tenant, text in document["slots"]]
    banners: dict[tuple[str, str], dict[str, Banner]] = {}
    for tenant, text in document["banners"]:
        banner = load(Banner, text)
        banners.setdefault((tenant, banner.slot), {})[banner.id] = banner
    configuration = Configuration(
        document["version"],
        {tenant.id: tenant for tenant in tenants},
        {key.id: key for key in keys},
        {(tenant, slot.id): slot for tenant, slot in slots},
        banners,
    )
    evidence = {(tenant, slot): np.array(matrix) for tenant, slot, matrix in document["evidence"]}
    return SavedSnapshot(configuration, int(document["read_us"]), evidence)

"""The last snapshot on disk: what a process starts from when the store is away."""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bandit.model import ApiKey, Banner, Configuration, Slot, Tenant
from serving.evidence import Matrix
from storage.documents import dump, load

log = logging.getLogger(__name__)

FORMAT = 3
ABANDONED_SECONDS = 3600
"""A file that was being written this long ago was left by a process that was killed meanwhile."""


@dataclass(frozen=True, slots=True)
class SavedSnapshot:
    """All configuration, and the evidence of the slots that were in use."""

    configuration: Configuration
    read_us: int
    """When the store was read for it, in microseconds since 1970 UTC."""
    evidence: Mapping[tuple[str, str], Matrix]
    """(tenant, slot) -> trials, clicks and unfaded trials, shape (3, cities, banners) in the configuration's order."""


class SnapshotFile:
    """One file, replaced as a whole, readable by its owner only: it holds the hashes of the keys."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, snapshot: SavedSnapshot) -> None:
        """Keep it. A failure is logged: serving goes on without a file."""
        own = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(own, "wb", opener=_private) as file:
                file.write(_to_json(snapshot))
            own.replace(self._path)
            self._delete_abandoned(self._path.stat().st_mtime)
        except OSError as error:
            log.warning("the snapshot could not be saved: %s", error)

    def load(self) -> SavedSnapshot | None:
        """The last saved snapshot; None when there is none that can be used."""
        try:
            document = orjson.loads(self._path.read_bytes())
            return _from_json(document) if document["format"] == FORMAT else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the saved snapshot cannot be used: %s", error)
            return None

    def _delete_abandoned(self, now_seconds: float) -> None:
        for path in self._path.parent.glob(f"{self._path.name}.*"):
            with suppress(FileNotFoundError):  # renamed or removed by another process
                if now_seconds - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _to_json(snapshot: SavedSnapshot) -> bytes:
    known = snapshot.configuration
    document = {
        "format": FORMAT,
        "version": known.version,
        "partitions": known.partitions,
        "read_us": snapshot.read_us,
        "tenants": [dump(tenant) for tenant in known.tenants.values()],
        "keys": [dump(key) for key in known.keys.values()],
        "slots": [(tenant, dump(slot)) for (tenant, _), slot in known.slots.items()],
        "banners": [(tenant, dump(b)) for (tenant, _), slot in known.banners.items() for b in slot.values()],
        # Slot by slot: requests wait while one is written, and all together would be too long.
        "evidence": [(*key, orjson.Fragment(_matrix_to_json(matrix))) for key, matrix in snapshot.evidence.items()],
    }
    return orjson.dumps(document)


def _matrix_to_json(matrix: Matrix) -> bytes:
    return orjson.dumps(matrix, option=orjson.OPT_SERIALIZE_NUMPY)


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
        document.get("partitions", 1),
    )
    evidence = {(tenant, slot): np.array(matrix) for tenant, slot, matrix in document["evidence"]}
    return SavedSnapshot(configuration, int(document["read_us"]), evidence)

"""The format of a backup: a .tar.gz whose last member, the manifest, says how long every other is and its SHA-256."""

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

MANIFEST = "manifest.json"
FORMAT = 1
CHUNK_BYTES = 1 << 20
COMPRESSION = 6


class ArchiveError(Exception):
    """The file is not a whole backup of a format we know."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest says of one member."""

    size: int
    sha256: str


class ArchiveWriter:
    """Adds files one by one, as they are at that moment; files may grow meanwhile."""

    def __init__(self, tar: tarfile.TarFile, made_at: str) -> None:
        self._tar = tar
        self._made_at = made_at
        self.entries: dict[str, Entry] = {}

    def add(self, name: str, path: Path) -> bool:
        """Add the file's content of now under this name; False if the file is gone."""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return False
        with file:
            size = os.fstat(file.fileno()).st_size
            reader = _Hashing(file)
            self._tar.addfile(_member(name, size), reader)
        self.entries[name] = Entry(size, reader.digest())
        return True

    def add_manifest(self) -> None:
        """The last member."""
        files = {name: asdict(entry) for name, entry in self.entries.items()}
        text = json.dumps({"format": FORMAT, "made_at": self._made_at, "files": files}, indent=1).encode()
        self._tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))


@contextmanager
def create(target: Path, made_at: str) -> Iterator[ArchiveWriter]:
    """Write an archive; it gets its name, and is readable by its owner alone, once it is whole and on disk."""
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a directory; name the file to write, such as {target / 'banner.tar.gz'}")
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION) as tar:
                writer = ArchiveWriter(tar, made_at)
                yield writer
                writer.add_manifest()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)  # there only after an error


def unpack(archive: Path, directory: Path) -> dict[str, Entry]:
    """Put all members below the directory and check each; ArchiveError when anything differs from the manifest."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            found = {member.name: _extract(tar, member, directory) for member in tar}
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ArchiveError(f"{archive} cannot be read as a backup: {error}") from error
    if found.pop(MANIFEST, None) is None:
        raise ArchiveError(f"{archive} is not a whole backup: it has no {MANIFEST}")
    expected = _read_manifest(directory / MANIFEST)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ArchiveError(f"{archive} is damaged: {name} is not what the manifest says")
    (directory / MANIFEST).unlink()
    return expected


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> Entry:
    name = PurePosixPath(member.name)
    source = tar.extractfile(member) if member.isreg() else None
    if source is None or name.is_absolute() or ".." in name.parts:
        raise ArchiveError(f"{member.name} is nothing that a backup holds")
    target = directory / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return Entry(member.size, digest.hexdigest())


def _read_manifest(path: Path) -> dict[str, Entry]:
    try:
        manifest = json.loads(path.read_bytes())
        written_as, files = manifest["format"], manifest["files"]
        entries = {name: Entry(**entry) for name, entry in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"the backup is damaged: its {MANIFEST} cannot be read") from error
    if written_as != FORMAT:
        raise ArchiveError(f"the backup has format {written_as}, this release reads {FORMAT}")
    return entries


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    return member


class _Hashing(io.RawIOBase):
    """Reads a file and knows the SHA-256 of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data

    def digest(self) -> str:
        """In hex."""
        return self._digest.hexdigest()

"""The programs themselves: fetched with Maven once, kept in a cache outside the work tree."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from services import Missing

JAVA_MAJOR = 17
"""What Cassandra 5.0 runs on (11 and 17 only); Kafka 4.1 and the registry run on it too."""

JAVA_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""They live for minutes on few cores, where the optimising compiler costs more than it brings (a start 40 % more)."""

_INSTALL_JAVA = f"On Debian and Ubuntu: apt install openjdk-{JAVA_MAJOR}-jre-headless; JAVA_HOME names another place."
_INSTALL_MAVEN = "Maven (mvn) is needed to fetch the services. On Debian and Ubuntu: apt install maven"


@functools.cache
def java() -> str:
    """The java command of the right version. Raises Missing."""
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin" / "java") if home else "java"
    try:
        answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Missing(
            f"Java {JAVA_MAJOR} is needed for the services, and {command} does not run. {_INSTALL_JAVA}"
        ) from None
    found = re.search(r'version "(\d+)', answer.stderr)
    if found is None or int(found[1]) != JAVA_MAJOR:
        version = answer.stderr.partition("\n")[0]
        raise Missing(f"Java {JAVA_MAJOR} is needed for the services, and {command} is {version}. {_INSTALL_JAVA}")
    return command


def jars(name: str) -> Path:
    """The directory with the jars of `services/<name>.pom.xml`, fetched if they are not there yet. Raises Missing.

    The first time takes about 15 seconds and 50 MB a service.
    """
    pom = Path(__file__).parent / f"{name}.pom.xml"
    kept = kept_in(pom)
    if not kept.exists():
        fetch(pom, kept)
    return kept


def kept_in(pom: Path) -> Path:
    """Where the jars of a pom are kept, whether they are there yet or not."""
    name = pom.name.partition(".")[0]
    return _cache() / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "banner-optimiser"


def fetch(pom: Path, kept: Path) -> None:
    """Put the jars that the pom names into this directory, whole or not at all. Raises Missing."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(_INSTALL_MAVEN)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as work:
        shutil.copy(pom, Path(work) / "pom.xml")
        target = Path(work) / "jars"
        _run_maven(
            [
                maven,
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                f"-DoutputDirectory={target}",
            ],
            work,
        )
        for archive in target.glob("*.tar.gz"):
            with tarfile.open(archive) as packed:
                # Named so and not as an argument, which Python 3.11 does not know before 3.11.4.
                packed.extraction_filter = getattr(tarfile, "data_filter", None)
                packed.extractall(target)
            archive.unlink()
        _keep(target, kept)


def _run_maven(command: list[str], directory: str) -> None:
    answer = subprocess.run(command, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if answer.returncode:
        last = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-5:])
        raise Missing(f"Maven could not fetch the jars; is the network there? It said:\n{last}")


def _keep(target: Path, kept: Path) -> None:
    """Move into place at once, unless somebody else was quicker."""
    try:
        target.rename(kept)
    except OSError:
        if not kept.exists():
            raise

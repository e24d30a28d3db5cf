"""One Spark session for all tests of this directory: it takes ten seconds to start."""

import os
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from services import Missing
from services.jars import fetch
from spark_jobs.jars import POM, kept
from spark_jobs.session import SparkOptions, open_session
from storage.base import MissingPackage
from tests.spark.quick import COMPILED, NOT_COMPILED, QUICK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/spark" in str(item.path):
            # py4j leaves sockets that it needs no more to the garbage collector, which closes them.
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session", autouse=True)
def connectors() -> None:
    """Fetched where they are not yet; skipped where there is no Maven, an error in CI."""
    try:
        if not kept().exists():
            fetch(POM, kept())
    except Missing as missing:
        _is_missing(missing)


@pytest.fixture(scope="session")
def spark(connectors: None) -> Iterator[Any]:
    """A local session with the connectors; skipped where Spark or Java is missing, an error in CI."""
    try:
        session = open_session("tests", SparkOptions(options=QUICK), connectors=True)
    except MissingPackage as missing:
        _is_missing(missing)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def compiled_spark(spark: Any) -> Iterator[Any]:
    """The same session, for a file with very many rows."""
    for name, value in COMPILED.items():
        spark.conf.set(name, value)
    yield spark
    for name, value in NOT_COMPILED.items():
        spark.conf.set(name, value)


def _is_missing(reason: Exception) -> NoReturn:
    if "REQUIRE_SERVICES" in os.environ:
        pytest.fail(str(reason), pytrace=False)
    pytest.skip(str(reason))

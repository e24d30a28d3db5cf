"""The examples do what they say, against a running service."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bandit.model import Banner, Role, Slot
from storage.sqlite import SqliteStore
from tests.conftest import StartService
from tests.service.shop import TENANT, Shop
from tests.service_process import ROOT, free_port

SLOTS = ("home_top", "category_side")
PYTHON = (sys.executable, "examples/storefront.py")
CURL = ("sh", "examples/storefront.sh")


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def counted(shop: Shop) -> list[tuple[int, int, int]]:
    reports = (shop.service.request("GET", f"/reports/banner?slot={slot}", key=shop.keys[Role.READ]) for slot in SLOTS)
    totals = [[row for row in answer.json["rows"] if row["served"]] for answer in reports]
    return [(rows[0]["served"], rows[0]["viewed"], rows[0]["clicks"]) if rows else (0, 0, 0) for rows in totals]


@pytest.fixture
def shop(service: StartService) -> Shop:
    """With the slots that the examples ask for, of one banner each."""
    made = Shop(service())
    store = SqliteStore(made.service.store_path)
    for number, slot in enumerate(SLOTS):
        store.put_slot(TENANT, Slot(slot))
        store.put_banner(TENANT, Banner(slot, f"offer-{number}", "/b.png", "https://shop.example/offer"))
    store.close()
    made.service.wait_until(lambda: made.banner(Role.READ, slot=SLOTS[1], explain="1").status == 200, "known")
    return made


@pytest.mark.parametrize(
    ("command", "expected"), [(PYTHON, [(1, 1, 0), (1, 1, 0)]), (CURL, [(1, 0, 0), (1, 1, 1)])], ids=["python", "curl"]
)
def test_an_example_gets_a_page_of_banners_and_reports_back(
    shop: Shop, command: Sequence[str], expected: list[tuple[int, int, int]]
) -> None:
    if "storefront.sh" in command[-1] and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = run(*command, shop.service.url, shop.keys[Role.SERVER])
    assert done.returncode == 0, done.stderr
    assert "offer-0" in done.stdout and "offer-1" in done.stdout
    shop.service.wait_until(lambda: counted(shop) == expected, f"counted as {expected}")


@pytest.mark.parametrize("command", [PYTHON, CURL], ids=["python", "curl"])
def test_an_example_that_is_refused_shows_what_the_service_says(shop: Shop, command: Sequence[str]) -> None:
    if "storefront.sh" in command[-1] and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = run(*command, shop.service.url, shop.keys[Role.READ])
    assert done.stdout == ""
    assert "403" in done.stderr and "this takes a key of role serve or server" in done.stderr


def test_without_a_service_the_python_example_shows_no_banners_and_says_why() -> None:
    done = run(*PYTHON, f"http://127.0.0.1:{free_port()}", "bk_x")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no banners" in done.stderr


def test_the_python_example_is_a_short_one() -> None:
    code = [line for line in (ROOT / Path(PYTHON[1])).read_text("utf-8").splitlines() if line.strip()]
    assert len(code) <= 30

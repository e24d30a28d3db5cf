"""What the documents tell people to run and to set is there."""

import importlib.util
import re
from pathlib import Path

import pytest

from settings import ROOT, TABLE

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULE = re.compile(r"python -m ([a-z_]+(?:\.[a-z_]+)*)")
SETTING = re.compile(r"`([a-z]+)\.([a-z_]+)(?: = [^`]*)?`")
SECTIONS = {key.section for key in TABLE}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(path: Path) -> None:
    named = set(MODULE.findall(path.read_text("utf-8"))) - {"pip", "pytest", "ruff", "mypy"}
    assert {name for name in named if importlib.util.find_spec(name) is None} == set()


def test_every_setting_that_the_readme_names_exists() -> None:
    found = SETTING.findall((ROOT / "README.md").read_text("utf-8"))
    named = {(section, name) for section, name in found if section in SECTIONS and name != "json"}
    assert len(named) > 10
    assert named <= set(TABLE)

"""The first minutes with a checkout: `make` alone, and what environment.sh says where Python does not fit."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from settings import ROOT

SCRIPT = "environment.sh"
TOOLS = ("sh", "dirname", "cat", "rm", "touch")
needs_make = pytest.mark.skipif(
    shutil.which("make") is None and "REQUIRE_SERVICES" not in os.environ, reason="make is not installed"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with the script, and `bin` with the tools it uses but no Python."""
    shutil.copy(ROOT / SCRIPT, tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def give_python(checkout: Path, body: str) -> None:
    path = checkout / "bin" / "python3"
    path.write_text(f"#!{shutil.which('sh')}\n{body}\n")
    path.chmod(0o755)


def make_environment(checkout: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": str(checkout / "bin"), **variables}
    command = [str(checkout / "bin" / "sh"), SCRIPT, "requirements.txt"]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def refusal(checkout: Path, **variables: str) -> str:
    """The one line it says when it can do nothing, having made nothing."""
    answer = make_environment(checkout, **variables)
    assert answer.returncode == 1
    assert not (checkout / ".venv").exists()
    (line,) = (answer.stdout + answer.stderr).splitlines()
    return line


def test_a_python_that_is_too_old_is_named_with_what_is_needed(checkout: Path) -> None:
    give_python(checkout, '[ "$1" = -V ] && echo "Python 3.9.2"')
    said = refusal(checkout)
    assert "Python 3.11, 3.12 or 3.13 is needed, and here is Python 3.9.2" in said
    assert "PYTHON=" in said


def test_no_python_at_all_is_said(checkout: Path) -> None:
    assert "here is no python3" in refusal(checkout)


def test_a_python_without_ensurepip_is_said_with_the_package_that_has_it(checkout: Path) -> None:
    give_python(checkout, f'case "$2" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"')
    said = refusal(checkout)
    assert said.startswith("The venv module of Python 3.")
    assert "apt install python3-venv" in said


def test_an_interpreter_that_was_named_and_does_not_fit_is_not_replaced_by_another(checkout: Path) -> None:
    give_python(checkout, f'exec "{sys.executable}" "$@"')
    assert refusal(checkout, PYTHON="/nowhere/python").startswith("PYTHON=/nowhere/python is not")


def test_files_that_a_requirement_file_includes_are_named_with_it() -> None:
    """What is installed is noted by the text of the files that are named: changes of others would be overlooked."""
    for files in re.findall(r"sh environment\.sh (.*)", (ROOT / "Makefile").read_text("utf-8")):
        texts = [(ROOT / file).read_text("utf-8") for file in files.split()]
        included = {file for text in texts for file in re.findall(r"^-r (\S+)", text, re.MULTILINE)}
        assert included <= set(files.split())


@needs_make
def test_make_alone_lists_every_target_with_a_line_of_help() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    answer = subprocess.run(["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    listed = dict(line.split(maxsplit=2)[1:] for line in answer.stdout.splitlines())
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert set(listed) == set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert all(len(text) > 10 for text in listed.values())

"""docker-compose.yml and the Dockerfile name only what is there."""

import importlib.util
import os
import re
import subprocess

import pytest

from settings import ROOT, TABLE

COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_every_setting_they_name_exists() -> None:
    named = set(re.findall(r"BANNER_\w+", COMPOSE + DOCKERFILE))
    assert named and named <= {key.variable for key in TABLE}


def test_every_command_they_run_exists() -> None:
    modules = re.findall(r'python -m (\w+\.\w+)|"-m", "(\w+\.\w+)"', COMPOSE)
    names = {one or other for one, other in modules}
    assert len(names) >= 5
    assert {name for name in names if importlib.util.find_spec(name) is None} == set()


def test_what_has_to_be_changed_is_three_settings() -> None:
    assert re.findall(r"\$\{(\w+):\?", COMPOSE) == ["TOKEN_KEYS", "CUSTOMER_KEY", "PUBLIC_URL"]


def compose() -> list[str]:
    """The command that reads compose files here; skips where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            subprocess.run([*command, "version"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    pytest.skip("neither `docker compose` nor docker-compose is installed")


def test_compose_takes_the_file_with_these_three_and_names_the_one_that_is_missing() -> None:
    command = [*compose(), "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    settings = {"TOKEN_KEYS": f"1:{'0a' * 32}", "CUSTOMER_KEY": "0b" * 32, "PUBLIC_URL": "http://localhost:8000"}
    taken = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
    assert taken.returncode == 0, taken.stderr
    refused = subprocess.run(command, env=os.environ | settings | {"PUBLIC_URL": ""}, capture_output=True, text=True)
    assert refused.returncode != 0 and "PUBLIC_URL" in refused.stderr

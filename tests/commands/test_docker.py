"""docker-compose.yml and the Dockerfile name only what is there."""

import importlib.util
import re

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

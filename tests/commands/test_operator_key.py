"""The first key of an installation."""

from pathlib import Path

import pytest

from bandit.model import Role
from commands.operator_key import main
from serving.keys import find_key
from storage.sqlite import SqliteStore


def test_the_printed_key_is_an_operators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"BANNER_DATA_DIRECTORY": str(tmp_path / "data")}
    assert main(["--name", "first"], environ) == 0
    text = capsys.readouterr().out.strip()
    store = SqliteStore.open(tmp_path / "data" / "banner.db")
    key = find_key(text, store.configuration().keys)
    store.close()
    assert key is not None and (key.role, key.tenant, key.name) == (Role.OPERATOR, None, "first")
    assert text.encode() not in (tmp_path / "data" / "banner.db").read_bytes()


def test_wrong_settings_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"BANNER_SERVER_PORT": "many"}) == 2
    assert "server.port" in capsys.readouterr().err


def test_an_unusable_directory_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").write_text("")
    assert main([], {"BANNER_DATA_DIRECTORY": str(tmp_path / "data")}) == 1
    assert "cannot be made" in capsys.readouterr().err

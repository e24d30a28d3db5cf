"""The commands that look at one slot: suggest_half_life and cluster_cities; and evaluate, as far as stores matter."""

import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bandit.model import Banner, Epoch, Slot, Tenant
from bandit.zone import day_of
from commands import cluster_cities, evaluate, suggest_half_life
from storage import copy
from storage.archive import ArchiveDirectory
from storage.archive_export import export
from storage.cassandra_epochs import create_epoch, publish_epoch
from storage.cassandra_session import CassandraOptions, CassandraSession
from storage.sqlite import SqliteStore
from tests.backends import environment
from tests.storage.events import Log, clicked, served

TODAY = day_of(time.time_ns() // 1000, "Asia/Kolkata")
CITIES = ("agra", "goa", "kochi", "pune", "surat", "vizag")
COMMANDS = (suggest_half_life.main, cluster_cities.main)
Main = Callable[[Sequence[str], Mapping[str, str]], int]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "data").mkdir()
    store = SqliteStore.open(tmp_path / "data" / "banner.db")
    store.put_tenant("shop", Tenant("shop", cities=dict.fromkeys(CITIES, ())))
    store.put_slot("shop", Slot("home"))
    for banner in ("b1", "b2", "b3"):
        store.put_banner("shop", Banner("home", banner, "https://x.example/p.png", "https://x.example/"))
    store.close()
    return {"BANNER_DATA_DIRECTORY": str(tmp_path / "data")}


def fill(environ: Mapping[str, str], days: int, trials: int, rate: Callable[[int, str, str], float]) -> None:
    """Impressions and clicks of every cell, day by day up to yesterday."""
    rng, number, log = np.random.default_rng(1), 0, Log()
    store = SqliteStore.open(Path(environ["BANNER_DATA_DIRECTORY"]) / "banner.db")
    for day in range(TODAY - days, TODAY):
        events = []
        for city, banner in ((city, banner) for city in CITIES for banner in ("b1", "b2", "b3")):
            for is_click in rng.random(trials) < rate(day - TODAY + days, city, banner):
                number += 1
                impression = served(number, day=day, city=city, banner=banner, eligible="b1 b2 b3", propensity=1 / 3)
                events += [impression, clicked(impression)] if is_click else [impression]
        store.deliver(log.records(*events))
    store.close()


@pytest.mark.parametrize("main", COMMANDS)
def test_a_store_that_cannot_be_opened_is_named(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"BANNER_DATA_DIRECTORY": str(tmp_path / "nowhere")}
    assert main(["--tenant", "shop", "--slot", "home"], environ) == 1
    path = tmp_path / "nowhere" / "banner.db"
    assert capsys.readouterr().err == f"cannot be done: SQLite at {path}: unable to open database file\n"


def test_a_slot_whose_banners_change_gets_a_shorter_half_life_suggested(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    # Every five days the banners change places.
    fill(environ, 30, 20, lambda day, city, banner: 0.3 if int(banner[1]) == day // 5 % 3 + 1 else 0.05)
    assert suggest_half_life.main(["--tenant=shop", "--slot=home"], environ) == 0
    text = capsys.readouterr().out
    assert "Set half_life_days to " in text and "95% interval) over 14 d" in text
    (best,) = (line for line in text.splitlines() if "<- best" in line)
    assert float(best.split()[0]) <= 3 and "####" in best
    (now,) = (line for line in text.splitlines() if line.endswith("<- now"))
    assert now.split()[:3] == ["14", "d", "+0.0"]


def test_what_changes_nothing_is_not_suggested(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    fill(environ, 30, 10, lambda day, city, banner: 0.1)
    store = SqliteStore.open(Path(environ["BANNER_DATA_DIRECTORY"]) / "banner.db")
    store.put_slot("shop", replace(Slot("home"), half_life_days=None))
    store.close()
    assert suggest_half_life.main(["--tenant=shop", "--slot=home"], environ) == 0
    assert "Keep none: " in capsys.readouterr().out


def test_groups_of_cities_are_told_and_drawn(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    northern = ("agra", "surat", "vizag")
    fill(environ, 1, 300, lambda day, city, banner: 0.3 if (banner == "b2") == (city in northern) else 0.05)
    picture = tmp_path / "clusters.svg"
    assert cluster_cities.main(["--tenant=shop", "--slot=home", f"--picture={picture}"], environ) == 0
    text = capsys.readouterr().out
    assert "6 cities in 2 groups" in text
    groups = [line.partition(": ")[2].partition(" (")[0] for line in text.splitlines() if line.startswith("Group")]
    assert sorted(groups) == ["agra, surat, vizag", "goa, kochi, pune"]
    drawn = ElementTree.parse(picture).getroot()
    cells = [title.text or "" for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert len(cells) == 18 and any(cell.startswith("agra: ") for cell in cells)


def test_counts_that_moved_to_cassandra_say_the_same(
    environ: dict[str, str],
    keyspace: CassandraOptions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(environ, 22, 10, lambda day, city, banner: 0.3 if (banner == "b2") == (city < "h") else 0.05)
    archive = ArchiveDirectory(tmp_path / "archive")
    export(SqliteStore(tmp_path / "data" / "banner.db"), archive, 0, lambda _: None)
    distributed = environ | environment(keyspace)
    (tmp_path / "data" / "journal").mkdir()
    session = CassandraSession(keyspace)
    create_epoch(session, Epoch(1, "banner-events", "topic-id", 1, time.time_ns() // 1000, {}, ""))
    publish_epoch(session, 1)
    session.close()
    assert copy.main(["--all"], distributed) == 0
    capsys.readouterr()

    def told(settings: Mapping[str, str]) -> list[str]:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        said = []
        for main in COMMANDS:
            assert main(["--tenant=shop", "--slot=home"], settings) == 0
            said.append(capsys.readouterr().out)
        assert evaluate.main([str(archive.path), "--tenant=shop", "--slot=home", "--policy=fixed:b2"]) == 0
        return [*said, capsys.readouterr().out]

    embedded = told(environ)
    assert "half_life" in embedded[0] or "Keep " in embedded[0]
    assert "6 cities in 2 groups" in embedded[1] and "DR " in embedded[2]
    (tmp_path / "data" / "banner.db").unlink()
    assert told(distributed) == embedded


@pytest.mark.parametrize("main", COMMANDS)
def test_too_little_data_is_told(main: Main, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tenant=shop", "--slot=home"], environ) == 3
    assert "not enough data yet" in capsys.readouterr().err


@pytest.mark.parametrize("main", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--tenant=no", "--slot=home"], "no tenant 'no'"), (["--tenant=shop", "--slot=no"], "it has home")],
)
def test_an_unknown_tenant_or_slot_is_told(
    main: Main, arguments: list[str], told: str, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, environ) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("main", COMMANDS)
def test_wrong_settings_and_a_store_that_is_away_are_told(main: Main, tmp_path: Path) -> None:
    assert main(["--tenant=shop", "--slot=home"], {"BANNER_SERVER_PORT": "many"}) == 2
    assert main(["--tenant=shop", "--slot=home"], {"BANNER_DATA_DIRECTORY": str(tmp_path / "none")}) == 1


@pytest.mark.parametrize("main", COMMANDS)
def test_help_is_there(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"], {})
    assert end.value.code == 0 and "Exit codes" in capsys.readouterr().out

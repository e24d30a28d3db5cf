"""`python -m storage.seed_cold_start`: from a file to seeds, or to complaints."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bandit.model import Seed, Slot
from storage.seed_cold_start import main
from storage.sqlite import SqliteStore
from tests.storage.seeding import command, configure

ROOT = Path(__file__).parents[2]
HEADER = "banner,city,click\n"
CITIES = {"mumbai": ("Bombay",), "delhi": ("New Delhi",), "pune": ()}

Seeding = Callable[..., int]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A tenant `shop` with three cities and a slot `hero` of three banners."""
    one = SqliteStore.open(tmp_path / "banner.db")
    configure(one, "shop", "hero", ["b0", "b1", "b2"], CITIES)
    yield one
    one.close()


@pytest.fixture
def seed(store: SqliteStore, tmp_path: Path) -> Seeding:
    """`seed(content or path, *options)` runs the command on slot hero; its exit code."""

    def run(history: str | bytes | Path, *options: str) -> int:
        path = history if isinstance(history, Path) else tmp_path / "history.csv"
        if not isinstance(history, Path):
            path.write_bytes(history.encode() if isinstance(history, str) else history)
        return command(tmp_path, str(path), *options)

    return run


def stored(store: SqliteStore) -> dict[tuple[str, str], Seed]:
    return {(seed.city, seed.banner): seed for seed in store.seeds("shop", "hero")}


def impressions(banner: str, city: str, shown: int, clicked: int) -> str:
    return f"{banner},{city},1\n" * clicked + f"{banner},{city},0\n" * (shown - clicked)


GOOD = HEADER + impressions("b0", "mumbai", 400, 20) + impressions("b1", "delhi", 3000, 30)


# -- what is written -------------------------------------------------------------------------------------------------


def test_every_banner_gets_a_seed_in_every_city(seed: Seeding, store: SqliteStore) -> None:
    assert seed(GOOD) == 0
    found = stored(store)
    assert found.keys() == {(city, banner) for city in CITIES for banner in ("b0", "b1", "b2")}
    assert found["mumbai", "b0"].trials == 40
    assert found["delhi", "b1"].trials == 200, "capped"
    assert 0 < found["pune", "b2"].trials < 1, "never seen"
    assert all(0 < one.clicks < one.trials for one in found.values())


def test_weight_and_the_most_strength_can_be_chosen(seed: Seeding, store: SqliteStore) -> None:
    assert seed(GOOD, "--weight", "0.5", "--max-strength", "300") == 0
    assert stored(store)["mumbai", "b0"].trials == 200
    assert stored(store)["delhi", "b1"].trials == 300


def test_counts_give_the_same_seeds_as_one_row_an_impression(seed: Seeding, store: SqliteStore) -> None:
    assert seed(GOOD, "--seed-id", "x") == 0
    once = stored(store)
    counts = "b,c,n,k\nb0,Bombay,300,20\nb0,mumbai,100,0\nb1,delhi,3000,30\nb2,pune,0,0\n"
    columns = ("--banner-column=b", "--city-column=c", "--impressions-column=n", "--click-column=k")
    version = store.configuration_version()
    assert seed(counts, "--seed-id", "x", *columns) == 0
    assert stored(store) == once
    assert store.configuration_version() == version


def test_the_same_call_twice_changes_nothing(
    seed: Seeding, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seed(GOOD) == 0
    once, version = store.seeds("shop", "hero"), store.configuration_version()
    assert seed(GOOD) == 0
    assert store.seeds("shop", "hero") == once
    assert store.configuration_version() == version
    assert "0 of 9 pairs change" in capsys.readouterr().out


def test_the_same_history_with_another_weight_replaces_its_seeds(seed: Seeding, store: SqliteStore) -> None:
    assert seed(GOOD) == 0
    assert seed(GOOD, "--weight", "0.2") == 0
    assert len(store.seeds("shop", "hero")) == 9
    assert stored(store)["mumbai", "b0"].trials == 80


def test_another_history_adds_its_own_seeds(seed: Seeding, store: SqliteStore) -> None:
    assert seed(GOOD) == 0
    assert seed(GOOD + "b2,pune,0\n") == 0
    assert len({one.seed_id for one in store.seeds("shop", "hero")}) == 2


def test_a_dry_run_shows_what_would_change_and_writes_nothing(
    seed: Seeding, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seed(GOOD, "--seed-id", "x") == 0
    once = store.seeds("shop", "hero")
    capsys.readouterr()
    assert seed(GOOD, "--seed-id", "x", "--weight", "0.05", "--dry-run") == 0
    assert store.seeds("shop", "hero") == once
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("mumbai  b0"))
    assert line.split()[2:5] == ["40.0", "->", "20.0"]
    assert "nothing was written" in said


def test_a_long_table_is_cut_and_says_how_much(
    seed: Seeding, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(store, "shop", "hero", [f"b{number}" for number in range(30)], CITIES)
    assert seed(GOOD, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "... and 30 more pairs" in said
    assert said.count("->") == 2 * 60


def test_seeds_can_be_removed_by_their_id(
    seed: Seeding, store: SqliteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seed(GOOD, "--seed-id", "first") == 0
    assert seed(GOOD, "--seed-id", "second") == 0
    assert command(tmp_path, "--remove", "first") == 0
    assert {one.seed_id for one in store.seeds("shop", "hero")} == {"second"}
    assert command(tmp_path, "--remove", "first") == 2
    assert "it has second" in capsys.readouterr().err


# -- complaints ------------------------------------------------------------------------------------------------------


def test_nothing_is_written_when_one_row_is_wrong(
    seed: Seeding, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seed(GOOD, "--seed-id", "x") == 0
    once, version = store.seeds("shop", "hero"), store.configuration_version()
    capsys.readouterr()
    assert seed(GOOD + "b0,mumbai,maybe\n", "--seed-id", "x") == 2
    said = capsys.readouterr()
    assert "row 3402: click is 'maybe'" in said.err
    assert "nothing was written" in said.err
    assert said.out == ""
    assert (store.seeds("shop", "hero"), store.configuration_version()) == (once, version)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--tenant", "nobody"), "there is no tenant 'nobody'"),
        (("--slot", "nowhere"), "tenant shop has no slot 'nowhere'; it has hero"),
    ],
)
def test_an_unknown_tenant_or_slot_is_complained_of(
    store: SqliteStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    complaint: str,
) -> None:
    environ = {"BANNER_DATA_DIRECTORY": str(tmp_path)}
    assert main(["x.csv", "--tenant", "shop", "--slot", "hero", *options], environ) == 2
    assert complaint in capsys.readouterr().err


def test_a_slot_without_banners_is_complained_of(
    store: SqliteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put_slot("shop", Slot("bare"))
    assert command(tmp_path, "x.csv", slot="bare") == 2
    assert "has no banners yet" in capsys.readouterr().err


def test_a_missing_file_is_complained_of(seed: Seeding, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed(tmp_path / "missing.csv") == 2
    assert capsys.readouterr().err == f"{tmp_path / 'missing.csv'}: No such file or directory\n"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "either a history or --remove ID is needed"),
        (("h.csv", "--remove", "x"), "either a history or --remove ID is needed"),
        (("--remove", "x", "--dry-run"), "not allowed with"),
        (("h.csv", "--weight", "0"), "'0' is not a number above 0, up to 1"),
        (("h.csv", "--weight", "nan"), "'nan' is not a number above 0"),
        (("h.csv", "--max-strength", "lots"), "'lots' is not a number above 0"),
        (("h.csv", "--seed-id", "a b"), "'a b' is no id"),
        (("h.csv", "--filter", "position"), "is not COLUMN=VALUE"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        command(tmp_path, *options)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_store_that_cannot_be_opened_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "banner.db").write_bytes(b"this is no database" * 100)
    assert command(tmp_path, "h.csv") == 1
    assert capsys.readouterr().err.startswith("The store cannot be used: ")


def test_wrong_settings_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["h.csv", "--tenant", "shop", "--slot", "hero"], {"BANNER_SERVER_PORT": "x"}) == 2
    assert "server.port" in capsys.readouterr().err


# -- nothing to be wrong with ----------------------------------------------------------------------------------------


def test_history_without_any_click_is_used_and_said(
    seed: Seeding, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seed(HEADER + impressions("b0", "mumbai", 950, 0)) == 0
    assert stored(store)["mumbai", "b0"].clicks == pytest.approx(0.095)
    assert "No row has a click" in capsys.readouterr().out


def test_cities_and_banners_that_history_and_configuration_do_not_share_are_said(
    seed: Seeding, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = impressions("b0", "Atlantis", 50, 1) + impressions("b1", "", 70, 1) + impressions("b0", "El Dorado", 60, 1)
    assert seed(HEADER + rows) == 0
    assert stored(store)["_other", "b0"].trials == 11
    assert stored(store)["_unknown", "b1"].trials == 7
    said = capsys.readouterr().out
    assert "_other, since the tenant has no such cities (impressions): 'El Dorado' (60), 'Atlantis' (50)." in said
    assert "_unknown, since no city is named: 70 impressions." in said
    assert "with little weight: banner b2." in said
    assert "with little weight: city delhi, mumbai, pune." in said


def test_rows_can_be_chosen_by_other_columns(seed: Seeding, store: SqliteStore) -> None:
    rows = "b0,mumbai,1,left\n" * 50 + "elsewhere,mumbai,1,right\n"
    assert seed("banner,city,click,place\n" + rows, "--filter", "place=left") == 0
    assert stored(store)["mumbai", "b0"].trials == 5


def test_one_row_is_enough(seed: Seeding, store: SqliteStore) -> None:
    assert seed(HEADER + "b0,mumbai,1\n") == 0
    assert len(stored(store)) == 9


# -- as a process -----------------------------------------------------------------------------------------------------


def test_it_runs_as_a_command(store: SqliteStore, tmp_path: Path) -> None:
    environ = os.environ | {"BANNER_DATA_DIRECTORY": str(tmp_path)}
    (tmp_path / "input").write_text(GOOD, "utf-8")
    options = [str(tmp_path / "input"), "--tenant=shop", "--slot=hero", "--seed-id=x"]
    module = [sys.executable, "-m", "storage.seed_cold_start"]
    done = subprocess.run([*module, *options], env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Seeds x: 9 of 9 pairs change." in done.stdout
    assert len(stored(store)) == 9

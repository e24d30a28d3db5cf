"""Off-policy evaluation from files, up to the real log of the examples."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bandit.model import Slot
from commands.evaluate import main
from storage.archive import ArchiveDirectory
from storage.archive_export import export
from storage.sqlite import SqliteStore
from tests.installation import Installation

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples" / "open_bandit"
COLUMNS = (
    "--action-column=item_id",
    "--reward-column=click",
    "--propensity-column=propensity_score",
    "--context-column=position",
)


class Line(NamedTuple):
    """One estimate of the printed table."""

    value: float
    low: float
    high: float


def printed(text: str, name: str) -> Line:
    (line,) = (line for line in text.splitlines() if line.startswith(name))
    value, low, _, high = line.removeprefix(name).split()[:4]
    return Line(float(value), float(low), float(high))


def check_readme(log: str, text: str) -> None:
    """The README's table has what was printed of this log, to four places."""
    (row,) = (
        line for line in (REPOSITORY / "README.md").read_text("utf-8").splitlines() if line.startswith(f"| `{log}`")
    )
    _, _, earned, _, *estimates, effective, _ = row.split("|")
    told = [float(number) for number in re.findall(r"\d\.\d+", " ".join([earned, *estimates]))]
    found = [printed(text, "the log itself").value, *printed(text, "IPS"), *printed(text, "DR")]
    assert told == pytest.approx(found, abs=6e-5)
    assert f"is worth {effective.strip()} decisions" in text


def test_from_the_log_of_thompson_sampling_random_choice_would_have_earned_less(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(EXAMPLES / "bts_men.csv"), "--policy=uniform", *COLUMNS]) == 0
    text = capsys.readouterr().out
    assert printed(text, "the log itself").value == 0.0069
    # Its real value, in the log of random choice, is 0.0046.
    assert all(printed(text, each).high < printed(text, "the log itself").low for each in ("IPS", "SNIPS", "DR"))
    assert "too few agree" in text
    check_readme("bts_men", text)


@pytest.mark.parametrize("campaign", ["men", "women"])
def test_from_the_log_of_random_choice_thompson_sampling_would_have_earned_more(
    campaign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    like = f"--policy=like:{EXAMPLES / f'bts_{campaign}.csv'}"
    assert main([str(EXAMPLES / f"random_{campaign}.csv"), like, *COLUMNS]) == 0
    text = capsys.readouterr().out
    assert printed(text, "the log itself").value == 0.0046
    assert all(printed(text, each).value > 0.0046 for each in ("replay", "IPS", "SNIPS", "DR"))
    check_readme(f"random_{campaign}", text)


def test_a_log_that_hardly_shows_what_the_policy_would_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(EXAMPLES / "bts_women.csv"), "--policy=uniform", *COLUMNS]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "are worth 2.1 of this policy's" in told.err


def test_the_learner_can_be_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(EXAMPLES / "random_men.csv"), "--policy=thompson", *COLUMNS]) == 0
    assert "DR " in capsys.readouterr().out


def small(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["action,reward,propensity", *(lines or ["a,1,0.5", "b,0,0.5"] * 100)]))
    return str(path)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("best", "none of uniform, thompson"),
        ("fixed:c", "it has a, b"),
        ("fixed:", "it has a, b"),
        ("like:", "none of uniform, thompson"),
        ("like:missing.csv", "missing.csv"),
    ],
)
def test_a_policy_that_does_not_exist_is_told(
    policy: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([small(tmp_path / "log.csv"), "--policy", policy]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a,1,0", "row 2: propensity is '0'; a probability above 0"),
        ("a,1,1.5", "row 2: propensity is '1.5'"),
        ("a,much,0.5", "row 2: reward is 'much'; a number is right"),
        ("a,inf,0.5", "row 2: reward is 'inf'"),
        ("", "there are no rows"),
    ],
)
def test_a_wrong_value_is_told_by_row(line: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([small(tmp_path / "log.csv", line), "--policy", "uniform"]) == 2
    assert told in capsys.readouterr().err


def test_a_missing_file_and_a_missing_column_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "no.csv"), "--policy", "uniform"]) == 2
    assert "no.csv" in capsys.readouterr().err
    assert main([small(tmp_path / "log.csv"), "--policy", "uniform", "--reward-column", "gain"]) == 2
    assert "there is no column 'gain'" in capsys.readouterr().err


def test_another_log_with_banners_this_one_lacks_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = small(tmp_path / "other.csv", "a,1,0.5", "c,1,0.5")
    assert main([small(tmp_path / "log.csv"), "--policy", f"like:{other}"]) == 2
    assert "does not know c" in capsys.readouterr().err


def test_the_learner_asks_for_clicks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = small(tmp_path / "log.csv", *["a,2.5,0.5", "b,0,0.5"] * 100)
    assert main([log, "--policy", "thompson"]) == 2
    assert "rewards of 0 and 1" in capsys.readouterr().err
    assert main([log, "--policy", "fixed:a"]) == 0
    assert printed(capsys.readouterr().out, "DR").value == pytest.approx(2.5, abs=0.1)


# -- our own log -----------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, slot=Slot("home", exploration_share=0.5))
    yield installation
    installation.close()


def test_the_products_own_log_says_what_uniform_choice_would_have_earned(
    shop: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(600):
        shown = shop.banner(city="pune").json
        if shown["banner"] == "b2" and number % 2:
            shop.click(shown["token"])
        if number % 100 == 99:
            shop.settle()
    store = [str(shop.directory / "banner.db"), "--tenant=shop", "--slot=home"]
    assert main([*store, "--policy=uniform"]) == 0
    text = capsys.readouterr().out
    # One banner in three is clicked every second time.
    assert printed(text, "DR").low < 1 / 6 < printed(text, "DR").high
    assert printed(text, "the log itself").value > 1 / 6
    assert main([*store, "--policy=fixed:b2"]) == 0
    assert printed(capsys.readouterr().out, "SNIPS").value == pytest.approx(0.5, abs=0.1)
    assert main([*store, "--policy=thompson"]) == 0
    capsys.readouterr()
    # The archive of the same events says the same.
    main([*store, "--policy=uniform"])
    from_store = capsys.readouterr().out
    archive = ArchiveDirectory(shop.directory / "archive")
    export(SqliteStore(shop.directory / "banner.db"), archive, 0, lambda _: None, chunk=250)
    monkeypatch.setenv("BANNER_DATA_DIRECTORY", str(shop.directory))
    assert main([str(archive.path), "--tenant=shop", "--slot=home", "--policy=uniform"]) == 0
    assert capsys.readouterr().out.replace(str(archive.path), "") == from_store.replace(store[0], "")
    assert main([str(shop.directory / "journal"), "--tenant=shop", "--slot=home", "--policy=uniform"]) == 2
    assert "there is no archive" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main([str(archive.path), "--tenant=shop", "--slot=home", "--policy=uniform"]) == 2
    assert capsys.readouterr().err.startswith("pyarrow is missing; run: ")


def test_a_store_without_the_slot_or_without_draws_is_told(
    shop: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(shop.directory / "banner.db")
    assert main([store, "--policy=uniform"]) == 2
    assert capsys.readouterr().err.startswith("--tenant and --slot missing")
    assert main([store, "--policy=uniform", "--tenant=shop"]) == 2
    assert capsys.readouterr().err.startswith("--slot missing")
    assert main([store, "--policy=uniform", "--tenant=shop", "--slot=away"]) == 2
    assert "no slot away of shop; it has home of shop" in capsys.readouterr().err
    assert main([str(shop.directory), "--policy=uniform"]) == 2
    assert f"there is no archive at {shop.directory}" in capsys.readouterr().err
    assert main([store, "--tenant=shop", "--slot=home", "--policy=uniform"]) == 2
    assert "no accepted impression" in capsys.readouterr().err

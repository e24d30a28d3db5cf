"""The parts of the benchmarks that a wrong number could come from."""

import random
from itertools import islice
from pathlib import Path

import pytest

from benchmarks import wrk
from benchmarks.bench import main
from benchmarks.clicks import tokens
from benchmarks.content import TENANT, Content, count_every_cell, fill
from benchmarks.results import Result, slowest, speed
from benchmarks.wrk import CannotMeasure, Load
from serving.keyring import Keyring
from serving.keys import find_key
from serving.token import verify
from storage.sqlite import SqliteStore

CONTENT = Content(slots=2, cities=3, banners=4)
KEYRING = Keyring({1: b"k" * 32}, 1, b"c" * 32)


def test_what_wrk_counted_becomes_a_rate_and_a_time() -> None:
    assert wrk.parse(["50000", "2000000", "3500", "0", "0", "0"]) == Load(50_000, 25_000.0, 3.5)


@pytest.mark.parametrize("trouble", [3, 4, 5], ids=["refused", "unanswered", "tokens used up"])
def test_a_load_with_trouble_is_no_measurement(trouble: int) -> None:
    result = ["50000", "2000000", "3500", "0", "0", "0"]
    result[trouble] = "1"
    with pytest.raises(CannotMeasure):
        wrk.parse(result)


def test_ratios_are_those_of_medians() -> None:
    ours = [Load(1, 250.0, 4.0), Load(1, 1.0, 400.0), Load(1, 300.0, 3.0)]
    theirs = [Load(1, 100.0, 8.0), Load(1, 90.0, 9.0), Load(1, 1_000.0, 7.0)]
    assert speed("GET /banner", ours, theirs, 2.5).value == 2.5
    assert slowest("GET /banner, p99", ours, theirs).value == 0.5


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(2.5, True, True), (2.4, True, False), (2.5, False, True), (2.6, False, False)]
)
def test_a_target_is_a_lower_or_an_upper_limit(value: float, at_least: bool, met: bool) -> None:
    result = Result("speed", value, 2.5, at_least=at_least)
    assert result.met == met
    assert ("NOT MET" in result.line()) == (not met)


def test_every_token_is_one_the_service_takes_and_none_comes_twice() -> None:
    texts = list(islice(tokens(KEYRING, CONTENT, random.Random(1)), 1_000))
    read = [verify(text, KEYRING) for text in texts]
    assert len({token.impression_id for token in read}) == 1_000
    assert all(token.counted and token.tenant == TENANT for token in read)
    assert len({(token.slot, token.city, token.banner) for token in read}) == CONTENT.cells


def test_a_filled_store_holds_what_was_asked_for_and_counts_every_cell_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "banner.db"
    key = fill(path, CONTENT)
    count_every_cell(path, CONTENT)
    store = SqliteStore(path)
    configuration = store.configuration()
    rows = [row for _, slot in configuration.slots for row in store.counts(TENANT, slot, 0, 100_000)]
    store.close()
    assert find_key(key, configuration.keys) is not None
    assert sum(map(len, configuration.banners.values())) == 8
    assert [row.served for row in rows] == [1] * CONTENT.cells


def test_without_wrk_the_benchmark_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["banner"]) == 2
    assert "apt install wrk" in capsys.readouterr().err


def test_an_unknown_part_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["latency"])
    assert "banner, click, page, cells, memory" in capsys.readouterr().err

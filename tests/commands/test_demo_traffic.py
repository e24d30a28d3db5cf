"""Simulated visitors: how they behave, what is shown of them, and a run against a real service."""

import io
import random
import shlex
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bandit.city import index, recognise
from bandit.model import Policy, Role
from commands import demo, demo_traffic
from commands.demo_board import WINDOWS, Board, bar
from commands.demo_catalogue import OFFERS, SLOTS, TENANT
from commands.demo_client import Client, NoService
from commands.demo_keys import read_keys
from commands.demo_storefront import Outcome
from commands.demo_visitors import CITY_SHARES, Crowd
from commands.demo_world import LEAD, MEAN_CTR, LogRates, best, read_log, true_rates, world
from tests.conftest import StartService
from tests.http_client import Answer, request
from tests.service_process import Service, free_port

RATES = true_rates(LogRates(80, 0.005, tuple(rate / 1000 for rate in range(1, 11))))
WORLD = world(RATES)


# -- the world -------------------------------------------------------------------------------------------------------


def test_the_real_log_gives_ten_rising_rates_around_its_mean() -> None:
    log = read_log()
    assert log.items == 80
    assert 0.004 < log.mean < 0.006
    assert list(log.spread) == sorted(log.spread)
    assert log.spread[0] < log.mean < log.spread[-1] < 3 * log.mean


def test_the_rates_have_a_mean_of_three_per_cent_and_a_clear_best() -> None:
    rates = true_rates(read_log())
    assert sum(rates) / len(rates) == pytest.approx(MEAN_CTR)
    assert rates[-1] >= LEAD * rates[-2] * (1 - 1e-9)
    assert list(rates) == sorted(rates)


def test_every_city_has_all_rates_and_in_a_slot_each_prefers_another_banner() -> None:
    assert set(WORLD) == {(slot.id, city) for slot in SLOTS for city in TENANT.cities}
    for (name, _), rates in WORLD.items():
        assert sorted(rates.values()) == list(RATES)
        assert set(rates) == {offer.id for offer in OFFERS[name]}
    for slot in SLOTS:
        assert len({best(WORLD[slot.id, city]) for city in TENANT.cities}) == 6


def test_the_world_is_the_same_every_time() -> None:
    assert world(RATES) == WORLD


# -- visitors --------------------------------------------------------------------------------------------------------


def test_visitors_come_from_all_cities_in_their_shares() -> None:
    """20,000 visits; 5 standard deviations a city and slot: fails by chance less than once in 100,000 seeds."""
    crowd, count = Crowd(random.Random(1)), 20_000
    known = index(TENANT.cities)
    visits = [crowd.visit() for _ in range(count)]
    cities = Counter(recognise(visit.city, known) for visit in visits)
    assert set(cities) == set(CITY_SHARES) == set(TENANT.cities)
    for city, share in CITY_SHARES.items():
        assert abs(cities[city] - share * count) < 5 * (count * share * (1 - share)) ** 0.5
    assert sum(CITY_SHARES.values()) == pytest.approx(1)


def test_city_names_vary_and_customers_come_back() -> None:
    crowd = Crowd(random.Random(2))
    visits = [crowd.visit() for _ in range(5_000)]
    assert {"Bombay", "Mumbai", "दिल्ली"} <= {visit.city for visit in visits}
    customers = [visit.customer_id for visit in visits if visit.customer_id]
    assert 0 < len(visits) - len(customers) < len(visits) / 2
    assert len(set(customers)) < len(customers)


# -- the board -------------------------------------------------------------------------------------------------------


def shown(cell: tuple[str, str], banner: str, policy: Policy = Policy.LEARNED, *, clicked: bool = False) -> Outcome:
    return Outcome(*cell, banner, policy, clicked)


def test_a_cell_is_led_by_the_banner_chosen_most_of_late() -> None:
    cell = ("home_top", "mumbai")
    right = best(WORLD[cell])
    wrong = next(banner for banner in WORLD[cell] if banner != right)
    board = Board(WORLD, 1_000)
    assert not board.leads(cell)
    for _ in range(7):
        board.add({shown(cell, wrong): 100})
    assert not board.leads(cell)
    for _ in range(3):
        board.add({shown(cell, right): 40, shown(cell, wrong, Policy.HOLDOUT): 60})
    assert board.leads(cell)
    assert board.leading() == 1


def test_click_rates_are_kept_apart_by_slot_and_policy() -> None:
    cell = ("home_top", "pune")
    board = Board(WORLD, 1_000)
    for policy, clicks in ((Policy.LEARNED, 30), (Policy.HOLDOUT, 10)):
        board.add({shown(cell, "gift-cards", policy): 100 - clicks})
        board.add({shown(cell, "gift-cards", policy, clicked=True): clicks})
    assert board.ctr("home_top", Policy.LEARNED) == pytest.approx(0.3)
    assert board.ctr("home_top", Policy.HOLDOUT) == pytest.approx(0.1)
    assert board.ctr("category_side", Policy.LEARNED) == 0


def test_what_somebody_added_to_the_tenant_does_not_disturb() -> None:
    board = Board(WORLD, 1_000)
    board.add({shown(("home_top", "_other"), "gift-cards"): 5, shown(("home_top", "pune"), "my-banner"): 5})
    assert board.seen == 10
    assert board.leading() == 0


def test_the_table_fits_a_terminal_and_draws_each_city() -> None:
    board = Board(WORLD, 40 * 12 * 4)
    for _ in range(40):
        board.add({shown(cell, best(rates)): 4 for cell, rates in WORLD.items()})
    lines = board.table(12.0)
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    mumbai = next(line for line in lines if "Mumbai" in line)
    assert mumbai.endswith("leads")
    assert mumbai.count("█") == WINDOWS
    assert "100%" in mumbai


@pytest.mark.parametrize(("share", "drawn"), [(0, ""), (1, "█" * 30), (0.5, "█" * 15), (1 / 240, "▏")])
def test_a_bar_is_as_long_as_its_share(share: float, drawn: str) -> None:
    assert bar(share) == drawn


def test_without_a_terminal_a_line_comes_every_few_seconds_and_the_table_once() -> None:
    output = io.StringIO()
    board = Board(WORLD, 1_000)
    board.add({shown(("home_top", "pune"), "gift-cards"): 10})
    screen = demo_traffic.Screen(output, height=20)
    for tenth in range(100):
        screen.show(board, tenth / 10)
    assert len(output.getvalue().splitlines()) == 2
    screen.close(board, 10.0)
    assert len(output.getvalue().splitlines()) == 2 + len(board.table(10.0))
    assert "\x1b" not in output.getvalue()


def test_a_lift_is_told_with_its_interval_and_both_sides() -> None:
    side = {"trials": 1_000, "clicks": 60, "ctr": 0.06}
    line = demo_traffic.lift_line(
        {"slot": "home_top", "learned": side, "holdout": side | {"trials": 100, "ctr": 0.03}, "lift": 1.0,
         "low": 0.2, "high": 1.9, "confidence": 0.95, "conclusive": True}
    )  # fmt: skip
    assert "+100.0% (95% interval +20.0% to +190.0%); CTR 6.00% of 1,000 against 3.00% of 100" in line


def test_no_lift_is_told_without_traffic() -> None:
    side = {"trials": 0, "clicks": 0, "ctr": None}
    nothing = {"slot": "home_top", "learned": side, "holdout": side, "lift": None, "low": None, "high": None}
    assert "not enough traffic" in demo_traffic.lift_line(nothing)


# -- the command -----------------------------------------------------------------------------------------------------


def environment(tmp_path: Path, port: int) -> dict[str, str]:
    (tmp_path / "config.ini").write_text("")
    return {
        "BANNER_CONFIG": str(tmp_path / "config.ini"),
        "BANNER_DATA_DIRECTORY": str(tmp_path / "data"),
        "BANNER_SERVER_PORT": str(port),
    }


@pytest.mark.parametrize(
    "arguments", [["--impressions", "many"], ["--impressions", "10"], ["--seed", "x"], ["--speed", "9"]]
)
def test_wrong_arguments_end_it_with_2(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo_traffic.main(arguments, environment(tmp_path, 8000))
    assert ended.value.code == 2


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "127.0.0.1:8000", "http://", "http://x/banner", "http://x:y"])
def test_an_address_that_is_none_ends_it_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
    demo.main([], environment(tmp_path, 8000))
    assert demo_traffic.main(["--url", url], environment(tmp_path, 8000)) == 2
    assert "--url" in capsys.readouterr().err


def test_without_the_demo_tenant_it_says_how_to_make_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo_traffic.main([], environment(tmp_path, 8000)) == 1
    assert "make run" in capsys.readouterr().err


def test_without_the_service_it_says_how_to_start_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = environment(tmp_path, free_port())
    demo.main([], where)
    assert demo_traffic.main([], where) == 1
    assert "make run" in capsys.readouterr().err


# -- against a service -----------------------------------------------------------------------------------------------


def trials(service: Service, key: str) -> int:
    with Client(service.url, key) as client:
        return sum(row["trials"] for row in client.get("/reports/banner?slot=home_top")["rows"])


def paste(line: str) -> Answer:
    """Do what a curl line does."""
    match shlex.split(line):
        case ["curl", "-s", "-H", header, url]:
            parts = urlsplit(url)
            assert parts.hostname and parts.port
            headers = dict([header.split(": ")])
            return request(parts.hostname, parts.port, "GET", f"{parts.path}?{parts.query}", headers=headers)
        case words:
            raise AssertionError(f"not the curl line expected: {words}")


def test_the_curl_line_raises_trials_by_one_and_the_traffic_is_counted_whole(
    service: StartService, capsys: pytest.CaptureFixture[str]
) -> None:
    one = service(snapshot_refresh_seconds=0.2)
    where = {"BANNER_CONFIG": str(one.data.parent / "config.ini"), "BANNER_DATA_DIRECTORY": str(one.data)}
    where["BANNER_SERVER_PORT"] = str(one.port)
    assert demo.main([], where) == 0
    ask, report = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  curl"))
    keys = read_keys(one.data / "demo.json")
    one.wait_until(lambda: paste(report).status == 200, "aware of the demo tenant")
    assert trials(one, keys[Role.READ]) == 0

    one.wait_until(lambda: paste(ask).status == 200, "aware of the demo tenant")
    one.wait_until(lambda: trials(one, keys[Role.READ]) == 1, "counting the impression")

    assert demo_traffic.main(["--impressions", "2000"], where) == 0
    said = capsys.readouterr().out
    assert "has counted 2,000 of the 2,000 impressions" in said
    assert "of 12 cells" in said
    assert all(f"  {slot.id} " in said.partition("Lift")[2] for slot in SLOTS)


def test_a_service_that_does_not_know_the_keys_ends_it_with_1(
    service: StartService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = service()
    where = environment(tmp_path, one.port)
    demo.main([], where)
    assert demo_traffic.main([], where) == 1
    assert "401" in capsys.readouterr().err


def test_a_client_gives_up_when_nobody_answers() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", "bk_1_2", patience_seconds=0) as client, pytest.raises(NoService):
        client.get("/banner")

"""Seeding a slot over HTTP."""

import time
from typing import Any

import pytest

from bandit.model import Seed
from tests.web.flask_side import Side
from web.admin_seeds import _command, _options
from web.schemas import SeedOptions

SEEDS = "/admin/slots/home/seeds"
DEADLINE_SECONDS = 60


@pytest.fixture(autouse=True)
def same_store(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that runs as a job finds its store as any command does: by the settings."""
    for name, value in side.installation.backend.environment.items():
        monkeypatch.setenv(name, value)


def history() -> bytes:
    lines = ["banner,city,click"]
    for number in range(200):
        lines += [f"b1,Poona,{int(number % 10 == 0)}", f"b2,Mumbai,{int(number % 50 == 0)}"]
    return "\n".join(lines).encode()


def seed(side: Side, query: str = "", content: bytes | None = None) -> dict[str, Any]:
    """Start seeding and wait for its end."""
    how: dict[str, Any] = {"data": history() if content is None else content, "content_type": "text/csv"}
    started = side.call("POST", f"{SEEDS}{query}", **how)
    assert started.status_code == 202, started.text
    assert started.headers["Location"] == started.json["url"]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (job := side.get(started.json["url"]))["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert isinstance(job, dict)
    return job


def test_a_history_becomes_seeds_that_can_be_listed_and_removed(side: Side) -> None:
    shown = seed(side, "?dry_run=true&seed_id=h1")
    assert (shown["state"], shown["exit_code"]) == ("done", 0), shown["output"]
    assert "h1" in shown["output"] and side.get(SEEDS) == {"seeds": []}
    assert seed(side, "?seed_id=h1&weight=0.5&max_strength=50")["state"] == "done"
    listed = side.get(SEEDS)["seeds"]
    assert [each["seed_id"] for each in listed] == ["h1"]
    assert 0 < listed[0]["clicks"] < listed[0]["trials"] <= 50 * listed[0]["cells"]
    side.installation.refresh()
    assert side.call("DELETE", f"{SEEDS}/h1").status_code == 204
    side.refused(404, "seed", "DELETE", f"{SEEDS}/h1")
    assert side.get(SEEDS) == {"seeds": []}


def test_a_history_that_cannot_be_read_fails_with_its_complaint(side: Side) -> None:
    failed = seed(side, content=b"banner,city,click\nb1,pune,maybe\n")
    assert failed["state"] == "failed" and failed["exit_code"] == 2
    assert "maybe" in failed["output"] or "2" in failed["output"]
    assert failed["output"].startswith("the uploaded file: nothing was written")
    assert str(side.installation.directory) not in failed["output"]
    assert side.get(SEEDS) == {"seeds": []}


def test_a_history_of_another_type_or_size_is_refused(side: Side) -> None:
    side.refused(415, "Content-Type", "POST", SEEDS, data=b"{}", content_type="application/json")
    side.refused(415, "Content-Type", "POST", SEEDS, data=b"a")
    too_large = bytes((20 << 20) + 1)
    assert "20971520" in side.refused(413, None, "POST", SEEDS, data=too_large, content_type="text/csv")
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    how: dict[str, Any] = {"data": too_large, "content_type": "text/csv", "environ_overrides": chunked}
    side.refused(413, None, "POST", SEEDS, **how)
    jobs = side.installation.directory / "jobs"
    assert not [path for path in jobs.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("weight", "weight=0"),
        ("weight", "weight=nan"),
        ("weight", "weight=2"),
        ("max_strength", "max_strength=-1"),
        ("seed_id", "seed_id=a%20b"),
        ("banner_column", "banner_column="),
        ("city_column", "city_column=%00"),
        ("filter", "filter=nothing"),
        ("dry_run", "dry_run=perhaps"),
        ("remove", "remove=h1"),
    ],
)
def test_a_wrong_option_is_refused_by_field(side: Side, field: str, query: str) -> None:
    side.refused(400, field, "POST", f"{SEEDS}?{query}", data=history(), content_type="text/csv")


def test_a_wrong_option_is_told_in_words(side: Side) -> None:
    for field, query, right in (("filter", "foo", "COLUMN=VALUE"), ("city_column", "%00", "the name of a column")):
        told = side.refused(400, field, "POST", f"{SEEDS}?{field}={query}", data=b"", content_type="text/csv")
        assert told.startswith(f"{field} must be {right}")


def test_no_value_of_the_query_becomes_an_option_of_its_own(tmp_path: Any) -> None:
    query = SeedOptions.model_validate(
        {"banner_column": "--remove=x", "city_column": "-c", "weight": 0.1, "filter": "position=1"}
    )
    command = _command(tmp_path / "input", _options("shop", "home", query))
    assert command[2:] == [
        "storage.seed_cold_start",
        str(tmp_path / "input"),
        f"--table={tmp_path / 'changes.csv'}",
        "--tenant=shop",
        "--slot=home",
        "--banner-column=--remove=x",
        "--city-column=-c",
        "--filter=position=1",
        "--weight=0.1",
    ]


def test_an_unknown_slot_or_job_is_named(side: Side) -> None:
    side.refused(404, "slot", "POST", "/admin/slots/away/seeds", data=history(), content_type="text/csv")
    side.refused(404, "slot", "GET", "/admin/slots/away/seeds")
    side.refused(404, "job", "GET", f"/admin/jobs/{'0' * 32}")
    side.refused(400, "job", "GET", "/admin/jobs/..")


def test_a_job_and_a_seed_are_their_tenants_alone(side: Side) -> None:
    side.store.put_seeds("shop", "home", "h1", [Seed("h1", "pune", "b1", 10.0, 1.0)])
    job = seed(side, "?dry_run=true")["job"]
    side.refused(404, "job", "GET", f"/admin/jobs/{job}", "other")
    side.refused(404, "slot", "DELETE", f"{SEEDS}/h1", "other")
    assert side.get(f"/admin/jobs/{job}?tenant=shop", "operator")["state"] == "done"

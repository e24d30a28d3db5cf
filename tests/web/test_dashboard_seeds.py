"""A history goes up, is looked at, applied and taken back, all in the dashboard."""

import time
from io import BytesIO
from typing import Any

import pytest
from markupsafe import escape

from bandit.model import Seed
from tests.web.browsing import Visitor, words
from tests.web.flask_side import Side
from tests.web.test_admin_seeds import DEADLINE_SECONDS, history

SEEDS = "/dashboard/slots/home/seeds"


@pytest.fixture(autouse=True)
def same_store(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that runs as a job finds its store as any command does: by the settings."""
    for name, value in side.installation.backend.environment.items():
        monkeypatch.setenv(name, value)


def upload(visitor: Visitor, act: str, content: bytes, **fields: str) -> Any:
    return visitor.send(SEEDS, history=(BytesIO(content), "history.csv"), act=act, **fields)


def end_of(visitor: Visitor, started: Any) -> str:
    """The words of the job's page once it has ended."""
    assert started.status_code == 303, started.text
    return wait_for(visitor, started.headers["Location"])


def wait_for(visitor: Visitor, job: str) -> str:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while "Waiting for its turn" in (text := words(visitor.read(job))) or "worked on" in text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return text


def promised(visitor: Visitor, job: str) -> list[Seed]:
    """The seeds of the table of a job's page, from its CSV."""
    rows = visitor.download(f"{job}?csv=pairs")
    return [Seed("h1", row["city"], row["banner"], float(row["new_trials"]), float(row["new_clicks"])) for row in rows]


def test_what_a_dry_run_shows_is_what_is_then_stored_and_it_can_be_taken_back(side: Side) -> None:
    visitor = Visitor(side, "admin")
    assert "starts from nothing" in words(visitor.read(SEEDS))
    started = upload(visitor, "dry run", history(), seed_id="h1")
    shown = end_of(visitor, started)
    assert "Done. This was a dry run" in shown and "choose Apply" in shown and side.store.seeds("shop", "home") == []
    table = promised(visitor, started.headers["Location"])
    applied = end_of(visitor, upload(visitor, "apply", history(), seed_id="h1"))
    assert "Done. The seed is applied" in applied and "dry run" not in applied.lower() and "choose Apply" not in applied
    stored = side.store.seeds("shop", "home")
    assert stored and sorted(table) == sorted(stored)
    assert all(f"{seed.banner} 0.0 {seed.trials:,.1f} – " in shown for seed in stored)
    assert "->" not in shown and "400 rows" in shown and "h1: 9 of 9 pairs change" in shown
    assert "Seed's CTR after" in shown
    (row,) = visitor.download(f"{SEEDS}?csv=seeds")
    assert (row["seed_id"], int(row["cells"])) == ("h1", len(stored))
    assert visitor.send(f"{SEEDS}/h1/remove", form=SEEDS).status_code == 303
    assert side.store.seeds("shop", "home") == []
    log = [(each["action"], each["subject"]) for each in visitor.download("/dashboard/changes?csv=changes")]
    assert log == [("removed", "seeds home/h1"), ("started", "seeding of home")]


def test_a_history_that_cannot_be_read_says_so(side: Side) -> None:
    visitor = Visitor(side, "admin")
    text = end_of(visitor, upload(visitor, "apply", b"banner,city,click\nb1,pune,maybe\n"))
    assert "It failed; nothing was changed" in text


def test_a_missing_file_is_named(side: Side) -> None:
    missing = Visitor(side, "admin").send(SEEDS, act="apply", seed_id="h1")
    assert missing.status_code == 400 and "History: choose a CSV file" in words(missing.text)
    assert 'value="h1"' in missing.text


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("seed_id", 'last "year"', "Name: must be 1 to 32 letters"),
        ("weight", "2", "Weight: should be less than or equal to 1"),
        ("max_strength", "much", "Largest strength: should be a valid number"),
        ("filter", "position", "Only rows with: must be COLUMN=VALUE"),
    ],
)
def test_a_wrong_option_is_named_by_its_label_and_what_was_typed_stays(
    side: Side, field: str, value: str, problem: str
) -> None:
    visitor = Visitor(side, "admin")
    wrong = upload(visitor, "apply", history(), **{"click_column": "bought", field: value})
    assert wrong.status_code == 400 and problem in words(wrong.text)
    assert f'value="{escape(value)}"' in wrong.text and 'value="bought"' in wrong.text
    assert wrong.text.count('aria-invalid="true"') == 1
    assert "starts from nothing" in words(visitor.read(SEEDS))


def test_a_history_that_is_too_large_is_refused(side: Side) -> None:
    body = {"data": bytes(21 << 20), "content_type": "multipart/form-data; boundary=x"}
    assert Visitor(side, "admin").open(SEEDS, method="POST", **body).status_code == 413


def test_a_job_and_a_seed_of_others_are_not_there(side: Side) -> None:
    side.store.put_seeds("shop", "home", "h1", [Seed("h1", "pune", "b1", 10.0, 1.0)])
    admin = Visitor(side, "admin")
    job = upload(admin, "dry run", history()).headers["Location"]
    assert Visitor(side, "other").open(job).status_code == 404
    assert admin.open(f"{SEEDS}/jobs/{'0' * 32}").status_code == 404
    assert admin.open(f"{SEEDS}/jobs/..%2f").status_code == 404
    assert admin.send(f"{SEEDS}/h9/remove", form=SEEDS).status_code == 404
    other = Visitor(side, "other")
    assert other.send(f"{SEEDS}/h1/remove", form="/dashboard/keys").status_code == 404
    assert len(side.store.seeds("shop", "home")) == 1
    wait_for(admin, job)

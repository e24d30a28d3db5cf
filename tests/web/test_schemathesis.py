"""Schemathesis over /openapi.json: whatever it thinks of, nothing answers 5xx or what is not declared."""

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from storage.drain import drain
from storage.drain_status import is_alive
from tests.web.flask_side import Side

CHECKS = {
    # What is wrong between two fields, or unknown to this tenant, is valid for a schema and refused all the same.
    "positive_data_acceptance": {"enabled": False},
    # Sends again without the session, which its WSGI client cannot do; test_roles.py asks every route instead.
    "ignored_auth": {"enabled": False},
}
TEXT_BODY = {
    # Whatever comes as CSV is a text, also `null`; what is wrong with it the job says.
    "include-name": "POST /admin/slots/{slot}/seeds",
    "checks": {"negative_data_rejection": {"enabled": False}},
}
REPORTS = ("banner", "city", "day", "policy", "referrer", "lift", "clicks", "unrecognised-cities")

STATEFUL = {"max-steps": 6, "generation": {"max-examples": 30}}
CLICKS_OF_A_CITY = {"include-name": "GET /reports/clicks", "parameters": {"query.city": "pune"}}
"""No text made by chance is the name of a city."""
ONLY_STATEFUL = {name: {"enabled": False} for name in ("examples", "coverage", "fuzzing")} | {"stateful": STATEFUL}


@dataclass
class Findings:
    """What a run found."""

    failures: list[str] = field(default_factory=list)
    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    calls: Counter[str] = field(default_factory=Counter)

    def take(self, event: Any) -> None:
        """Learn from one event of the engine."""
        if isinstance(event, events.NonFatalError):
            self.failures.append(f"{event.label}: {event.info.format()}")
        elif isinstance(event, events.FatalError):
            self.failures.append(repr(event.exception))
        elif isinstance(event, events.ScenarioFinished):
            self._take_scenario(event)

    def add(self, more: "Findings") -> None:
        """What a run after this one found too."""
        self.failures += more.failures
        self.calls += more.calls
        for operation, statuses in more.statuses.items():
            self.statuses[operation] += statuses

    def _take_scenario(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        self.calls[str(event.phase)] += len(recorder.interactions)
        for case, interaction in recorder.interactions.items():
            assert interaction.response is not None
            self.statuses[recorder.cases[case].value.operation.label][interaction.response.status_code] += 1
        found = [check.failure_info for checks in recorder.checks.values() for check in checks]
        self.failures += [f"{each.failure}\n{each.code_sample}" for each in found if each is not None]

    def succeeded(self, operation: str) -> bool:
        """Whether the operation was ever answered with a success."""
        return any(200 <= status < 300 for status in self.statuses[operation])


@pytest.fixture
def drained(side: Side) -> Iterator[Side]:
    """With a drain, so that the process is ready."""
    stop = threading.Event()
    journal = side.installation.directory / "journal"
    thread = threading.Thread(target=drain, args=(journal, side.installation.sink), kwargs={"stop": stop})
    thread.start()
    while not is_alive(journal):
        time.sleep(0.001)
    yield side
    stop.set()
    thread.join()


def explore(side: Side, key: str, settings: Mapping[str, Any], paths: str) -> Findings:
    """Every phase of schemathesis over the operations whose path matches, always the same way."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": f"Bearer {side.keys[key]}"},
            "checks": CHECKS,
            "generation": {"max-examples": 5, "deterministic": True, "database": "none"},
            "phases": {"stateful": STATEFUL},
            **settings,
            "operations": [*settings.get("operations", ()), TEXT_BODY],
        }
    )
    everything = schemathesis.openapi.from_wsgi("/openapi.json", side.app, config=config)
    # Saying what to include does nothing: settings for single operations include all.
    schema = everything.exclude(lambda context: re.search(paths, context.operation.path) is None)
    findings = Findings()
    for event in from_schema(schema).execute():
        findings.take(event)
    assert all(re.search(paths, operation.split()[1]) for operation in findings.statuses)
    return findings


@pytest.mark.slow
def test_an_operator_finds_nothing_undeclared(drained: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANNER_DATA_DIRECTORY", str(drained.installation.directory))
    settings = {
        "parameters": {"query.tenant": "shop"},
        "operations": [
            {
                "include-name": "DELETE /admin/tenants/{tenant}",
                "parameters": {"path.tenant": "other"},
                # What is deleted is therefore not always what was made just before.
                "checks": {"ensure_resource_availability": {"enabled": False}},
            },
            {**CLICKS_OF_A_CITY, "parameters": {"query.tenant": "shop", "query.city": "pune"}},
        ],
    }
    found = explore(drained, "operator", settings, ".*")
    # Its state machine ends, without a word, where a call is answered in another way than when it was made before.
    for seed in (2, 3, 4, 5):
        if found.calls["stateful"] <= 100:
            found.add(explore(drained, "operator", {**settings, "seed": seed, "phases": ONLY_STATEFUL}, ".*"))
    assert found.failures == []
    assert found.calls["stateful"] > 100 and found.calls["coverage"] > 500 and found.calls["fuzzing"] > 50
    for made in ("tenants", "keys", "slots"):
        assert found.succeeded(f"POST /admin/{made}") and found.succeeded(f"GET /admin/{made}")
    assert found.succeeded("GET /admin/slots/{slot}") and found.succeeded("GET /reports/clicks")


@pytest.mark.slow
def test_a_storefront_finds_nothing_undeclared(drained: Side) -> None:
    settings = {
        "parameters": {"query.slot": "home"},
        # A batch is taken with its bad events, each of which has a refusal of its own in the answer.
        "operations": [{"include-name": "POST /events", "checks": {"negative_data_rejection": {"enabled": False}}}],
    }
    found = explore(drained, "server", settings, "^/(banner|click|view|page|events|go)")
    assert found.failures == []
    assert (
        found.succeeded("GET /banner")
        and found.succeeded("POST /page")
        and found.succeeded("POST /events")
        and found.succeeded("POST /click")
    )


def test_a_reader_finds_nothing_undeclared(drained: Side) -> None:
    settings = {
        "parameters": {"query.slot": "home"},
        "operations": [CLICKS_OF_A_CITY],
        "phases": {"stateful": {"enabled": False}},
    }
    found = explore(drained, "read", settings, "^/reports/")
    assert found.failures == []
    assert all(found.succeeded(f"GET /reports/{name}") for name in REPORTS)

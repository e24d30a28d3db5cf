"""The command that makes and publishes epochs."""

import subprocess
import sys
import time

import pytest
from kafka import TopicPartition

from bandit.model import CountRow
from kafka_ingest import epochs
from kafka_ingest.epoch_topic import CLAIM_DAYS, LONGEST_RETENTION_DAYS, CannotCount, check_topic
from settings import ROOT
from storage.cassandra_epochs import active_epoch
from storage.cassandra_import import CassandraImport
from tests.counting.conftest import MakePlace
from tests.kafka.topic import admin
from tests.storage.cassandra_sink import CountingSink
from tests.storage.events import DAY, Log, served

Capture = pytest.CaptureFixture[str]


def test_epochs_are_made_published_and_listed(place: MakePlace, capsys: Capture) -> None:
    one = place(partitions=3)
    environ = one.environment()
    assert epochs.main(["create"], environ) == 0
    assert "epoch 2 is made, over 3 partitions" in capsys.readouterr().out
    active = active_epoch(one.session)
    assert active is not None and active.number == 1, "a new epoch is read by nobody"
    one.topic.grow(5)
    assert epochs.main(["publish", "2"], environ) == 0
    assert "spread over 5 shards" in capsys.readouterr().out
    active = active_epoch(one.session)
    assert active is not None and (active.number, active.partitions, active.state) == (2, 5, "active")
    assert active.topic_id == one.epoch.topic_id and active.started_us > one.epoch.started_us
    assert epochs.main(["list"], environ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["1", "retired"], ["2", "active"]]


def test_an_epoch_that_lacks_what_the_active_one_holds_is_published_only_where_that_is_wanted(
    place: MakePlace, capsys: Capture
) -> None:
    one = place(partitions=1)
    environ, now_us = one.environment(), time.time_ns() // 1000
    CassandraImport(one.session, 1, "shop", now_us).counts(
        "home", [CountRow(DAY - 40, "learned", "Pune", "sale", 7, 0, 0)]
    )
    assert epochs.main(["create"], environ) == 0
    assert epochs.main(["publish", "2"], environ) == 1
    assert (
        "epoch 1 holds up to 7 impressions, of 2025-05-06 to 2025-05-06, that epoch 2 lacks" in capsys.readouterr().err
    )

    events = [served(number, journal=1, sequence=number + 1) for number in range(5)]
    one.writer.write(events)
    CountingSink(one.session, 1).deliver(Log().records(*events))
    with admin(one.topic.bootstrap) as client:
        client.delete_records({TopicPartition(one.topic.name, 0): 3})
    assert epochs.main(["create"], environ) == 0
    assert epochs.main(["publish", "3"], environ) == 1
    said = capsys.readouterr().err
    assert "up to 12 impressions, of 2025-05-06 to 2025-06-15" in said and "--lose-history" in said
    active = active_epoch(one.session)
    assert active is not None and active.number == 1
    assert epochs.main(["skip", "1"], environ) == 0
    assert "nothing is skipped" in capsys.readouterr().out
    assert epochs.main(["publish", "3", "--lose-history"], environ) == 0
    active = active_epoch(one.session)
    assert active is not None and active.number == 3


def test_an_unknown_epoch_and_a_missing_topic_are_named(place: MakePlace, capsys: Capture) -> None:
    one = place(partitions=1)
    assert epochs.main(["publish", "7"], one.environment()) == 1
    assert "there is no epoch 7" in capsys.readouterr().err
    assert epochs.main(["create"], one.environment() | {"BANNER_KAFKA_TOPIC": "nowhere"}) == 1
    assert "topic nowhere cannot be read" in capsys.readouterr().err


def test_a_topic_that_keeps_events_for_longer_than_claims_allow_is_refused(place: MakePlace) -> None:
    one = place(partitions=1)
    check_topic(one.kafka, one.epoch)
    one.topic.configure(retention_ms=str((LONGEST_RETENTION_DAYS + 1) * 86_400_000))
    with pytest.raises(CannotCount, match=r"retention\.ms"):
        check_topic(one.kafka, one.epoch)


def test_claims_live_as_long_as_the_rule_about_retention_says() -> None:
    assert f"default_time_to_live = {CLAIM_DAYS * 86_400}" in (ROOT / "schema.cql").read_text()
    assert LONGEST_RETENTION_DAYS >= 12


@pytest.mark.parametrize("module", ["kafka_ingest.epochs", "kafka_ingest.consumer"])
def test_help_names_exit_codes_and_wrong_settings_are_named(module: str) -> None:
    command = [sys.executable, "-m", module]
    answer = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0 and "Exit codes" in answer.stdout
    arguments = ["list"] if module.endswith("epochs") else []
    environ = {"BANNER_CASSANDRA_PORT": "0", "BANNER_CONFIG": "/dev/null"}
    answer = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, env=environ)
    assert answer.returncode == 2 and "cassandra.port" in answer.stderr

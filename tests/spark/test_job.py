"""What every job says when it ends, whatever its work is."""

import argparse
import signal
import threading

import pytest

from spark_jobs import job


class HalfMade:
    """As objects of Spark are where a signal comes while they are made: they cannot tidy up after themselves."""

    def __del__(self) -> None:
        raise AttributeError("no _java_obj")


def test_what_a_signal_breaks_off_does_not_complain(capsys: pytest.CaptureFixture[str]) -> None:
    def work(*_: object) -> int:
        half_made = HalfMade()
        signal.raise_signal(signal.SIGTERM)
        del half_made
        return job.DONE

    assert job.run("test", argparse.Namespace(), work, {}) == job.STOPPED
    assert capsys.readouterr().err == f"{job.NOTHING_IN_PART}\n"


def test_without_one_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    def work(*_: object) -> int:
        HalfMade()
        return job.DONE

    assert job.run("test", argparse.Namespace(), work, {}) == job.DONE
    assert "AttributeError: no _java_obj" in capsys.readouterr().err


class StoppedMeanwhile:
    """The signal comes while it tidies up, from where no exception gets out."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_nobody_heard_comes_again() -> None:
    def work(*_: object) -> int:
        StoppedMeanwhile()
        return job.NOT_DONE if threading.Event().wait(30) else job.DONE

    assert job.run("test", argparse.Namespace(), work, {}) == job.STOPPED

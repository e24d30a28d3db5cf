"""Three consumers, killed and frozen while they count: every cell, every referrer and every click has to be exact."""

import random
import signal
import threading
import time
from collections.abc import Sequence

from bandit.event import BannerEvent
from tests.counting.conftest import MakePlace
from tests.counting.counted import complaints
from tests.counting.group import SESSION_MS, Consumer, Place
from tests.counting.traffic import Traffic, shuffled_in
from tests.service_process import wait_until

PARTITIONS, CONSUMERS = 6, 3
DISTINCT, COPIES, CLICKS_AGAIN = 100_000, 5_000, 5_000
FAULTS = ("kill", "freeze") * 4
FROZEN_SECONDS = SESSION_MS / 1000 + 2
APART_SECONDS = SESSION_MS / 1000 + 0.5
"""Between two faults: else they would hit a group that does not work anyway."""
CHUNK, CHUNK_SECONDS = 400, 0.4


class Feeder(threading.Thread):
    """Writes a log at an even rate, so that there is always something to count."""

    def __init__(self, place: Place, log: Sequence[BannerEvent]) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._log = log
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for start in range(0, len(self._log), CHUNK):
                due = time.monotonic() + CHUNK_SECONDS
                self._place.writer.write(self._log[start : start + CHUNK])
                time.sleep(max(0.0, due - time.monotonic()))
        except BaseException as error:
            self.error = error


def test_counts_are_exact_while_consumers_are_killed_and_frozen(place: MakePlace) -> None:
    one, rng = place(partitions=PARTITIONS), random.Random(41)
    traffic = Traffic(rng, PARTITIONS)
    events = traffic.events(DISTINCT)
    log = shuffled_in(rng, events, [*traffic.copies(COPIES), *traffic.repeated_clicks(CLICKS_AGAIN)])
    for _ in range(CONSUMERS):
        one.consumer()
    feeder = Feeder(one, log)
    feeder.start()
    for number, fault in enumerate(FAULTS):
        assert feeder.is_alive(), "the load has to outlast the faults"
        hit(one, fault, at_once=number % 4 == 0)
    feeder.join()
    assert feeder.error is None
    one.wait_until_counted(len(log))
    assert complaints(one.session, one.epoch.number, traffic) == []


def hit(one: Place, fault: str, *, at_once: bool) -> None:
    """Kill or freeze a consumer that is making progress, let the group get over it, and leave it alone for a while."""
    victim = counting_one(one)
    if fault == "freeze":
        victim.signal(signal.SIGSTOP)
        linger(one, FROZEN_SECONDS)
        victim.signal(signal.SIGCONT)
    else:
        victim.kill()
        if not at_once:  # the others take over first
            linger(one, FROZEN_SECONDS)
        victim.start()
    linger(one, APART_SECONDS)


def counting_one(one: Place) -> Consumer:
    """A consumer whose stored position has just moved; another one each time, if possible."""
    candidates = random.Random(len(one.consumers)).sample(one.consumers, len(one.consumers))
    before = {consumer.name: consumer.metric("position") for consumer in candidates}
    moving: list[Consumer] = []

    def is_moving() -> bool:
        one.keep_running()
        moving[:] = [consumer for consumer in candidates if 0 < before[consumer.name] < consumer.metric("position")]
        for consumer in candidates:
            before[consumer.name] = before[consumer.name] or consumer.metric("position")
        return bool(moving)

    wait_until(is_moving, "a consumer is making progress", 60)
    return moving[0]


def linger(one: Place, seconds: float) -> None:
    """Let time go by; processes that ended by themselves are started again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        one.keep_running()
        time.sleep(0.1)

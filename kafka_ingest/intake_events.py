"""Views and clicks that others received: verified, judged as of when they were received, and journaled."""

from collections.abc import Callable
from typing import NamedTuple

from bandit.model import Configuration
from kafka_ingest.delay import DAY_US, LONGEST_DELAY_DAYS
from kafka_ingest.intake_message import IntakeDecoder, Reported, Unacceptable
from serving.feedback import attribution_window_us, journal_feedback
from serving.keyring import Keyring
from serving.token import NotOurToken, Token, verify
from serving.verdict import FUTURE_TOLERANCE_US, Judge, Visitor
from storage.journal import Journal

_NOBODY = Visitor()
"""The message does not say who looked at the page, so the rules about visitors are not applied."""


class Verified(NamedTuple):
    """What a message reported, with a token that is ours."""

    reported: Reported
    token: Token


class Intake:
    """From messages to the journal."""

    def __init__(
        self,
        decoder: IntakeDecoder,
        keyring: Keyring,
        judge: Judge,
        journal: Journal,
        configuration: Callable[[], Configuration],
        *,
        clock: Callable[[], int],
    ) -> None:
        """`configuration` raises StoreUnavailable while none is known. `clock` gives microseconds since 1970 UTC."""
        self._decoder = decoder
        self._keyring = keyring
        self._judge = judge
        self._journal = journal
        self._configuration = configuration
        self._clock = clock

    def verify(self, message: bytes | None, timestamp_ms: int) -> Verified:
        """Raises Unacceptable, with the reason, and StoreUnavailable while the schema registry is away."""
        reported = self._decoder.decode(message, timestamp_ms)
        now_us = self._clock()
        if reported.received_us > now_us + FUTURE_TOLERANCE_US:
            raise Unacceptable("time: lies in the future")
        if reported.received_us < now_us - LONGEST_DELAY_DAYS * DAY_US:
            raise Unacceptable(f"time: lies more than {LONGEST_DELAY_DAYS} days back")
        try:
            return Verified(reported, verify(reported.token, self._keyring))
        except NotOurToken:
            raise Unacceptable("token: is not one that GET /banner gave out") from None

    def record(self, verified: Verified) -> None:
        """Judge and journal it. Raises JournalRefused, StoreUnavailable."""
        (kind, _, received_us), token = verified
        slot = self._configuration().slots.get((token.tenant, token.slot))
        verdict = self._judge.feedback(kind, token, _NOBODY, received_us, attribution_window_us(slot))
        journal_feedback(self._journal, kind, token, received_us, verdict)

"""Views and clicks: the token says where they count, the judge whether, the journal keeps them."""

from collections.abc import Callable

from bandit.event import BannerEvent, encode_unstamped, stamped
from bandit.model import Banner, Kind, Slot, Verdict
from serving.keyring import Keyring
from serving.slot_view import SlotView
from serving.snapshot import Snapshot
from serving.token import Token, verify
from serving.verdict import Judge, Visitor
from storage.journal import Journal
from storage.retention import DAY_US, LONGEST_WINDOW_DAYS

SECOND_US = 1_000_000
DEFAULT_WINDOW_SECONDS = 86_400
"""The attribution window of a slot that has been removed since, or that is newer than what was loaded."""


def attribution_window_us(slot: Slot | None) -> int:
    """For how long after its impression a view or click counts."""
    return SECOND_US * (slot.attribution_window_seconds if slot else DEFAULT_WINDOW_SECONDS)


def journal_feedback(journal: Journal, kind: Kind, token: Token, received_us: int, verdict: Verdict) -> None:
    """Journal a view or click that was judged. Raises JournalRefused, and then nothing was recorded."""
    body = encode_unstamped(
        BannerEvent(
            kind,
            token.impression_id,
            token.tenant,
            token.slot,
            token.city,
            token.banner,
            token.policy,
            token.day,
            token.served_at,
            received_us,
            token.propensity,
            "",
            verdict,
            token.customer,
            token.referrer,
        )
    )
    journal.append(token.shard, stamped(body, token.shard, journal.id))


class Feedback:
    """The feedback calls of one process."""

    def __init__(
        self, snapshot: Snapshot, journal: Journal, keyring: Keyring, judge: Judge, *, clock: Callable[[], int]
    ) -> None:
        self._snapshot = snapshot
        self._journal = journal
        self._keyring = keyring
        self._judge = judge
        self._clock = clock

    def read(self, text: str) -> Token:
        """What the token says. Raises NotOurToken."""
        return verify(text, self._keyring)

    def record(self, kind: Kind, token: Token, visitor: Visitor) -> None:
        """Journal a view or click with its verdict. Raises JournalRefused, and then nothing was recorded."""
        now_us = self._clock()
        view = self._snapshot.view(token.tenant, token.slot)
        verdict = self._judge.feedback(kind, token, visitor, now_us, self._window_us(view))
        journal_feedback(self._journal, kind, token, now_us, verdict)

    def _window_us(self, view: SlotView | None) -> int:
        """While nothing is loaded the longest there is: what is called late stays so."""
        if self._snapshot.configuration is None:
            return LONGEST_WINDOW_DAYS * DAY_US
        return attribution_window_us(view.slot if view else None)

    def landing(self, token: Token) -> Banner | None:
        """Where a click on this impression leads: its banner, else the slot's default, else nowhere."""
        view = self._snapshot.view(token.tenant, token.slot)
        if view is None:
            return None
        by_id = {banner.id: banner for banner in view.banners}
        return by_id.get(token.banner) or by_id.get(view.slot.default_banner or "")

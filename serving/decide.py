"""Which banner to show: one draw from known probabilities, recorded before it is answered."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bandit.city import recognise
from bandit.eligibility import Visit
from bandit.event import SERVED_KIND, assemble, customer_field, optional_text, stamped, text, times_field, verdict_field
from bandit.model import OTHER, Banner, Verdict
from bandit.shard import shard_of
from serving.cells import Cell, Choice
from serving.keyring import Keyring, customer_digest
from serving.page import choose_apart
from serving.slot_view import SlotView
from serving.snapshot import Snapshot
from serving.token import CUSTOMER_BYTES, Signer, impression_id, name, sign, verify
from serving.verdict import Judge, Visitor
from storage.journal import Journal, JournalRefused

_ACCEPTED = Verdict.ACCEPTED
_ACCEPTED_FIELD = verdict_field(_ACCEPTED)
_TWO_TO_64 = float(1 << 64)


class UnknownName(LookupError):
    """A slot or platform that is not configured; `field` is the parameter that named it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Ask(NamedTuple):
    """What a storefront asks about one kind of visit, in its words."""

    tenant: str
    slot: str
    city: str | None = None
    platform: str | None = None
    segment: str | None = None
    referrer_id: str | None = None
    banner: str | None = None
    """What the caller shows, where the slot is in shadow."""


class Question(NamedTuple):
    """The same in ours; good for as long as the configuration is."""

    view: SlotView
    visit: Visit
    referrer: str | None
    event_referrer: bytes
    """As an event holds it."""
    event_unrecognised_city: bytes
    """So too the name of a city that is not configured."""
    shown: Banner | None = None
    """What is shown in shadow, if anything."""


class Decision(NamedTuple):
    """What was chosen, and the proof."""

    choice: Choice
    token: bytes
    """ASCII."""
    recorded: bool
    """False when the journal could not take it: the banner is shown, and neither it nor its click counts."""
    served_at: str
    """ISO 8601 in the tenant's zone."""


class _Occasion(NamedTuple):
    """What all impressions of one request have in common."""

    now_us: int
    day: int
    served_at: str
    event_times: bytes
    visitor: Visitor
    customer: bytes | None
    event_customer: bytes


class Decider:
    """The decisions of one process."""

    def __init__(
        self,
        snapshot: Snapshot,
        journal: Journal,
        keyring: Keyring,
        judge: Judge,
        *,
        rng: random.Random,
        clock: Callable[[], int],
    ) -> None:
        self._snapshot = snapshot
        self._journal = journal
        self._keyring = keyring
        self._sign = Signer(keyring).sign
        self._judge = judge
        self._random, self._random_bits = rng.random, rng.getrandbits
        self._clock = clock

    def understand(self, ask: Ask) -> Question:
        """The slot and the kind of visit. Raises UnknownName."""
        view = self._snapshot.view(ask.tenant, ask.slot)
        if view is None:
            raise UnknownName("slot", "no slot has this id; GET /admin/slots lists them")
        platform = ask.platform or view.slot.platforms[0]
        if platform not in view.slot.platforms:
            raise UnknownName("platform", f"the slot is on: {', '.join(view.slot.platforms)}")
        segment = ask.segment if ask.segment in view.tenant.segments else None
        city = recognise(ask.city, view.known_cities)
        unrecognised = optional_text(ask.city if city == OTHER else None)
        shown = _shown_in_shadow(view, ask.banner) if view.slot.shadow else None
        visit, referrer = Visit(city, platform, segment), ask.referrer_id
        return Question(view, visit, referrer, optional_text(referrer), unrecognised, shown)

    def decide(self, question: Question, customer_id: str | None, visitor: Visitor) -> Decision | None:
        """Choose and record; None when nothing may be shown."""
        view, visit, _, _, _, shown = question
        now_us = self._clock()
        cell = self._snapshot.cell(view, visit, now_us)
        if not (shown if view.slot.shadow else cell.banners):
            return None
        digest = self._digest(view.tenant.id, customer_id)
        if shown is None:
            choice = self._choose(cell, view.slot.holdout_share, digest)
        else:
            choice = cell.show_in_shadow(shown, self._random())
        decision, shard, body = self._written(question, choice, _occasion(view, now_us, digest, visitor))
        try:
            self._journal.append(shard, stamped(body, shard, self._journal.id))
        except JournalRefused:
            return self._unrecorded(decision)
        return decision

    def decide_page(
        self, questions: Sequence[Question], customer_id: str | None, visitor: Visitor
    ) -> list[Decision | None]:
        """Choose and record for several places of one page of one tenant, no banner twice; one answer each, in order.

        None where nothing may be shown that is not on the page already. All of the others are recorded, or none is.
        """
        if not questions:
            return []
        now_us = self._clock()
        digest = self._digest(questions[0].view.tenant.id, customer_id)
        unit = self._random() if digest is None else holdout_unit(digest)
        cells = [self._snapshot.cell(question.view, question.visit, now_us) for question in questions]
        choices = choose_apart(cells, [question.shown for question in questions], unit, self._random)
        occasion = _occasion(questions[0].view, now_us, digest, visitor)
        decisions: list[Decision | None] = []
        events = []
        for question, choice in zip(questions, choices, strict=True):
            decision = None
            if choice is not None:
                decision, shard, body = self._written(question, choice, occasion)
                events.append((shard, stamped(body, shard, self._journal.id)))
            decisions.append(decision)
        try:
            self._journal.append_all(events)
        except JournalRefused:
            return [None if one is None else self._unrecorded(one) for one in decisions]
        return decisions

    def _digest(self, tenant: str, customer_id: str | None) -> bytes | None:
        return None if customer_id is None else customer_digest(self._keyring.customer_key, tenant, customer_id)

    def _written(self, question: Question, choice: Choice, occasion: _Occasion) -> tuple[Decision, int, bytes]:
        """What is answered if it can be recorded, and the shard and the event to record, without its stamp."""
        view, visit, referrer, event_referrer, unrecognised, _ = question
        cell, banner, way, propensity, event_rest = choice
        now_us, day, served_at, times, visitor, customer, event_customer = occasion
        tenant, written = view.tenant.id, cell.written
        is_accepted = (verdict := self._judge.served(tenant, visitor, now_us)) is _ACCEPTED
        impression = impression_id(now_us, self._random_bits(64))
        body = assemble(
            SERVED_KIND,
            impression,
            written.event_place + text(banner.id),
            way.event_policy,
            times,
            propensity,
            way.event_reason,
            _ACCEPTED_FIELD if is_accepted else verdict_field(verdict),
            event_customer,
            event_referrer,
            event_rest,
            unrecognised,
        )
        partitions = self._snapshot.partitions
        shard = 0 if partitions == 1 else shard_of(tenant, view.slot.id, visit.city, partitions)
        where = written.token_place + name(banner.id)
        token = self._sign(impression, day, shard, way.token_policy, is_accepted, propensity, customer, where, referrer)
        return Decision(choice, token, True, served_at), shard, body

    def _unrecorded(self, decision: Decision) -> Decision:
        """The same for a journal that refused it, so that nothing which follows from it counts."""
        token = verify(decision.token.decode("ascii"), self._keyring)._replace(counted=False)
        return decision._replace(token=sign(token, self._keyring).encode("ascii"), recorded=False)

    def _choose(self, cell: Cell, holdout_share: float, digest: bytes | None) -> Choice:
        random_number = self._random
        if holdout_share and cell.is_open:
            unit = random_number() if digest is None else holdout_unit(digest)
            if unit < holdout_share:
                return cell.draw_for_holdout(random_number())
        return cell.draw(random_number())


def _occasion(view: SlotView, now_us: int, digest: bytes | None, visitor: Visitor) -> _Occasion:
    day, served_at = view.clock.read(now_us)
    customer = None if digest is None else digest[:CUSTOMER_BYTES]
    times = times_field(day, now_us, now_us)
    return _Occasion(now_us, day, served_at, times, visitor, customer, customer_field(customer))


def _shown_in_shadow(view: SlotView, named: str | None) -> Banner | None:
    """The caller's banner, whatever the rules say, else the slot's default. Raises UnknownName."""
    by_id = {banner.id: banner for banner in view.banners}
    if named is not None and named not in by_id:
        raise UnknownName("banner", f"slot {view.slot.id} has no banner {named}; in shadow you name one it has")
    return by_id.get(named or view.slot.default_banner or "") if view.slot.enabled else None


def holdout_unit(digest: bytes) -> float:
    """Where a customer stands in [0, 1): the same in every slot, and unrelated to the hash kept in events."""
    return int.from_bytes(digest[CUSTOMER_BYTES:], "big") / _TWO_TO_64
